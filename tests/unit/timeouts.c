// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/timeouts.h"

static struct timeouts timeouts;
static struct timeout timeout;

BEFORE_EACH
{
    timeout_init(&timeout);
}

TEST(nothing_started_is_never_due)
{
    timeouts_init(&timeouts, 30);
    assert_false(timeout_running(&timeout));
    assert_int_equal(timeout.due, TICKS_NEVER);
    assert_null(timeouts_due(&timeouts, TICKS_NEVER - 1));
    assert_int_equal(timeouts_next(&timeouts), TICKS_NEVER);
}

TEST(a_timeout_never_falls_due_early)
{
    timeouts_init(&timeouts, 2);
    timeouts_start(&timeouts, &timeout, 100);
    assert_true(timeout_running(&timeout));
    // Two seconds after the end of tick 100.
    assert_int_equal(timeouts_next(&timeouts), 100 + 2 * TICKS_PER_SECOND + 1);
    assert_null(timeouts_due(&timeouts, 100 + 2 * TICKS_PER_SECOND));
    assert_ptr_equal(timeouts_due(&timeouts, 100 + 2 * TICKS_PER_SECOND + 1), &timeout);
}

TEST(what_is_due_stays_until_it_is_stopped)
{
    timeouts_init(&timeouts, 1);
    timeouts_start(&timeouts, &timeout, 0);
    assert_ptr_equal(timeouts_due(&timeouts, 1000), &timeout);
    assert_ptr_equal(timeouts_due(&timeouts, 1000), &timeout);
    timeout_stop(&timeout);
    assert_null(timeouts_due(&timeouts, 1000));
    timeout_stop(&timeout); // once more does nothing
    assert_false(timeout_running(&timeout));
}

TEST(they_fall_due_in_order_of_starting)
{
    struct timeout three[3];

    timeouts_init(&timeouts, 1);
    for (int i = 0; i < 3; i++) {
        timeout_init(&three[i]);
        timeouts_start(&timeouts, &three[i], (ticks)i);
    }
    timeouts_start(&timeouts, &three[0], 3); // anew: the last now
    for (int i = 1; i <= 3; i++) {
        struct timeout *due = timeouts_due(&timeouts, 1000);

        assert_ptr_equal(due, &three[i % 3]);
        timeout_stop(due);
    }
}

TEST(no_seconds_is_never)
{
    timeouts_init(&timeouts, 0);
    timeouts_start(&timeouts, &timeout, 100);
    assert_true(timeout_running(&timeout)); // it stands in the list all the same
    assert_int_equal(timeouts_next(&timeouts), TICKS_NEVER);
    assert_null(timeouts_due(&timeouts, TICKS_NEVER - 1));
    timeout_stop(&timeout);
}

TEST(a_whole_list_moves_to_the_end_of_another)
{
    struct list from, to, one, other;

    list_init(&from);
    list_init(&to);
    list_move_all(&to, &from);
    assert_true(list_empty(&to) && list_empty(&from));
    list_append(&from, &one);
    list_move_all(&to, &from);
    list_append(&from, &other);
    list_move_all(&to, &from); // behind what is there
    assert_true(list_empty(&from));
    assert_ptr_equal(to.next, &one);
    list_remove(&one);
    assert_ptr_equal(to.next, &other);
    list_remove(&other);
    assert_true(list_empty(&to));
}

static void expect_sorted(const ticks *due, size_t count)
{
    enum { MOST = 300 };
    static struct timeout many[MOST];
    const struct timeout *before = NULL;
    size_t found = 0;

    timeouts_init(&timeouts, 1);
    for (size_t i = 0; i < count; i++) {
        timeout_init(&many[i]);
        timeouts_start(&timeouts, &many[i], 0);
        many[i].due = due[i];
    }
    timeouts_sort(&timeouts);
    for (const struct list *at = timeouts.list.next; at != &timeouts.list; at = at->next, found++) {
        const struct timeout *here = container_of(at, struct timeout, link);

        assert_ptr_equal(at->next->previous, at);
        assert_true(!before || before->due < here->due ||
                    (before->due == here->due && before < here));
        before = here;
    }
    assert_int_equal(found, count);
}

TEST(deadlines_in_any_order_are_put_in_order)
{
    static const ticks row[][5] = {{1, 2, 3, 4, 5},
                                   {5, 4, 3, 2, 1},
                                   {2, 1, 2, 1, 2},
                                   {3, 3, 3, 3, 3},
                                   {TICKS_NEVER, 0, TICKS_NEVER, 0, 1}};
    struct chance chance = chance_start(3);

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        for (size_t count = 0; count <= 5; count++)
            expect_sorted(row[i], count);
    for (int round = 0; round < 300; round++) {
        ticks due[300] = {0};

        for (int i = 0; i < round; i++)
            due[i] = (ticks)chance_below(&chance, 100);
        expect_sorted(due, (size_t)round);
    }
}
