// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pace.h"

#define MS UINT64_C(1000000)

static struct pace pace;

// Three flows, a message every millisecond of all, from 1 s on.
static int start_open(void **state)
{
    (void)state;
    pace = (struct pace){.flows = 3, .period = MS};
    pace_start(&pace, 1000 * MS, 500 * MS, 100);
    return 0;
}

static int start_closed(void **state)
{
    (void)state;
    pace = (struct pace){.flows = 3};
    pace_start(&pace, 1000 * MS, 0, 5);
    return 0;
}

static void test_a_closed_loop_allows_what_is_left(void **state)
{
    (void)state;
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

static void test_flows_take_turns(void **state)
{
    (void)state;
    assert_int_equal(pace_allowance(&pace, 0, 0, 1000 * MS), 1);
    assert_int_equal(pace_allowance(&pace, 1, 0, 1000 * MS), 0);
    assert_int_equal(pace_allowance(&pace, 1, 0, 1001 * MS), 1);
    assert_int_equal(pace_allowance(&pace, 0, 1, 1002 * MS), 0);
    assert_int_equal(pace_allowance(&pace, 0, 1, 1003 * MS), 1);
    assert_int_equal(pace_since(&pace, 1, 2, 1234 * MS), 1007 * MS);
}

static void test_what_was_held_up_is_due_at_once(void **state)
{
    (void)state;
    assert_int_equal(pace_due(&pace, 1000 * MS), 1);
    assert_int_equal(pace_due(&pace, 1029 * MS), 30);
    assert_int_equal(pace_allowance(&pace, 2, 0, 1029 * MS), 10);
    assert_int_equal(pace_allowance(&pace, 2, 7, 1029 * MS), 3);
    pace_count(&pace, 98, 1000 * MS);
    assert_int_equal(pace_allowance(&pace, 2, 7, 1029 * MS), 2);
}

static void test_the_alarm_for_the_next_one(void **state)
{
    (void)state;
    assert_int_equal(pace_next(&pace, 30), 1030 * MS);
    assert_int_equal(pace_next(&pace, 500), 1500 * MS);
    assert_int_equal(pace_next(&pace, 501), 1500 * MS); // the end
}

static void test_an_open_loop_counts_the_time_of_its_messages(void **state)
{
    (void)state;
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
static void test_a_duration_is_the_time_that_counts(void **state)
{
    (void)state;
    assert_int_equal(pace_counted_until(&pace, 8000 * MS, 9000 * MS), 1500 * MS);
    assert_int_equal(pace_counted_until(&pace, 1100 * MS, 1200 * MS), 1200 * MS); // interrupted
}

static void test_a_closed_loop_counts_until_its_last_answer(void **state)
{
    (void)state;
    assert_int_equal(pace_unsent(&pace, 9000 * MS), 0);
    pace_count(&pace, 4, 1010 * MS);
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 9000 * MS), 1020 * MS);
    pace_count(&pace, 1, 1030 * MS);
    assert_int_equal(pace_counted_until(&pace, 1020 * MS, 9000 * MS), 1030 * MS);
}

// However a period of no whole nanoseconds is rounded, every message is due once and in order.
static void test_rounding_loses_and_doubles_nothing(void **state)
{
    uint64_t begun = 0;

    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_closed_loop_allows_what_is_left, start_closed),
        cmocka_unit_test_setup(test_flows_take_turns, start_open),
        cmocka_unit_test_setup(test_what_was_held_up_is_due_at_once, start_open),
        cmocka_unit_test_setup(test_the_alarm_for_the_next_one, start_open),
        cmocka_unit_test_setup(test_an_open_loop_counts_the_time_of_its_messages, start_open),
        cmocka_unit_test_setup(test_a_duration_is_the_time_that_counts, start_open),
        cmocka_unit_test_setup(test_a_closed_loop_counts_until_its_last_answer, start_closed),
        cmocka_unit_test(test_rounding_loses_and_doubles_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
