// SPDX-License-Identifier: MIT
#include "unit.h"

#include "pace.h"

#define MS UINT64_C(1000000)

static struct pace pace;

// Three flows, a message every millisecond of all, from 1 s on.
BEFORE_EACH
{
    pace = (struct pace){.flows = 3, .period = MS};
    pace_start(&pace, 1000 * MS, 500 * MS, 100);
}

static void start_closed(void)
{
    pace = (struct pace){.flows = 3};
    pace_start(&pace, 1000 * MS, 0, 5);
}

TEST(a_closed_loop_allows_what_is_left)
{
    start_closed();
    assert_int_equal(pace.end, UINT64_MAX);
    assert_int_equal(pace_allowance(&pace, 2, 0, 1000 * MS), 5);
    pace_count(&pace, 4, 1000 * MS);
    assert_int_equal(pace_allowance(&pace, 0, 4, 1000 * MS), 1);
    assert_int_equal(pace_since(&pace, 0, 4, 1234 * MS), 1234 * MS);
    assert_false(pace.stopped);
    pace_count(&pace, 1, 1000 * MS);
    assert_true(pace.stopped);
    assert_int_equal(pace_allowance(&pace, 0, 5, 1000 * MS), 0);
}

TEST(flows_take_turns)
{
    assert_int_equal(pace_allowance(&pace, 0, 0, 1000 * MS), 1);
    assert_int_equal(pace_allowance(&pace, 1, 0, 1000 * MS), 0);
    assert_int_equal(pace_allowance(&pace, 1, 0, 1001 * MS), 1);
    assert_int_equal(pace_allowance(&pace, 0, 1, 1002 * MS), 0);
    assert_int_equal(pace_allowance(&pace, 0, 1, 1003 * MS), 1);
    assert_int_equal(pace_since(&pace, 1, 2, 1234 * MS), 1007 * MS);
}

TEST(what_was_held_up_is_due_at_once)
{
    assert_int_equal(pace_due(&pace, 1000 * MS), 1);
    assert_int_equal(pace_due(&pace, 1029 * MS), 30);
    assert_int_equal(pace_allowance(&pace, 2, 0, 1029 * MS), 10);
    assert_int_equal(pace_allowance(&pace, 2, 7, 1029 * MS), 3);
    pace_count(&pace, 98, 1000 * MS);
    assert_int_equal(pace_allowance(&pace, 2, 7, 1029 * MS), 2);
}

TEST(the_alarm_for_the_next_one)
{
    assert_int_equal(pace_next(&pace, 30), 1030 * MS);
    assert_int_equal(pace_next(&pace, 500), 1500 * MS);
    assert_int_equal(pace_next(&pace, 501), 1500 * MS); // the end
}

TEST(an_open_loop_counts_the_time_of_its_messages)
{
    pace_start(&pace, 1000 * MS, 0, 50);
    pace_count(&pace, 20, 1019 * MS);
    assert_int_equal(pace_unsent(&pace, 1029 * MS), 10);
    assert_int_equal(pace_unsent(&pace, 9000 * MS), 30);
    // Those that were held up were to be sent within 50 ms, if nobody ended it before.
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 9000 * MS), 1050 * MS);
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 1030 * MS), 1030 * MS);
    pace_count(&pace, 30, 1049 * MS);
    assert_int_equal(pace_counted_until(&pace, 8000 * MS, 9000 * MS), 1050 * MS);
    assert_int_equal(pace_unsent(&pace, 9000 * MS), 0);
}

// Not how long the answers took, nor how long one was waited for that never came.
TEST(a_duration_is_the_time_that_counts)
{
    assert_int_equal(pace_counted_until(&pace, 8000 * MS, 9000 * MS), 1500 * MS);
    assert_int_equal(pace_counted_until(&pace, 1100 * MS, 1200 * MS), 1200 * MS); // interrupted
}

TEST(a_closed_loop_counts_until_its_last_answer)
{
    start_closed();
    assert_int_equal(pace_unsent(&pace, 9000 * MS), 0);
    pace_count(&pace, 4, 1010 * MS);
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 9000 * MS), 1020 * MS);
    pace_count(&pace, 1, 1030 * MS);
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 9000 * MS), 1030 * MS);
}

// However a period of no whole nanoseconds is rounded, every message is due once and in order.
TEST(rounding_loses_and_doubles_nothing)
{
    uint64_t begun = 0;

    pace = (struct pace){.flows = 1, .period = 1e9 / 3};
    pace_start(&pace, 77, 0, 1000);
    for (uint64_t at = 77; !pace.stopped; at += 1000000) {
        uint64_t fresh = pace_allowance(&pace, 0, begun, at);

        assert_true(fresh <= 1);
        assert_true(fresh == 0 || pace_since(&pace, 0, begun, at) <= at);
        begun += fresh;
        pace_count(&pace, fresh, 1000 * MS);
        assert_true(at < UINT64_C(400000000000));
    }
    assert_int_equal(begun, 1000);
}
