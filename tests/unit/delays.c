// SPDX-License-Identifier: MIT
// The heap of delays against a plain search, and delayed answers by UDP within their bounds.
#include "unit.h"

#include "core/delays.h"
#include "transport/delayed.h"

enum { MANY = 300 };

static struct delays delays;
static struct delay all[MANY];

BEFORE_EACH
{
    delays = (struct delays){.count = 0};
    memset(all, 0, sizeof all);
}

AFTER_EACH
{
    delays_finish(&delays);
}

static uint64_t soonest(void)
{
    uint64_t least = DELAYS_NEVER;

    for (size_t i = 0; i < MANY; i++)
        if (all[i].place > 0)
            least = uint64_min(least, all[i].due);
    return least;
}

static uint64_t latest(void)
{
    uint64_t most = 0;

    for (size_t i = 0; i < MANY; i++)
        if (all[i].place > 0 && all[i].due > most)
            most = all[i].due;
    return most;
}

TEST(the_soonest_comes_first_whatever_is_added_and_removed)
{
    uint64_t chance = 1;

    assert_null(delays_last(&delays));
    for (int step = 0; step < 20000; step++) {
        struct delay *delay;

        chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407;
        delay = &all[(chance >> 33) % MANY];
        if (delay->place > 0)
            delays_remove(&delays, delay);
        else
            assert_true(delays_add(&delays, delay, (chance >> 45) % 1000));
        assert_true(delays_next(&delays) == soonest());
        if (delays.count > 0)
            assert_int_equal(delays_last(&delays)->due, latest());
    }
    while (delays.count > 0) {
        uint64_t due = delays_next(&delays);

        assert_null(delays_due(&delays, due - 1));
        delays_remove(&delays, delays_due(&delays, due));
        assert_true(delays_next(&delays) >= due);
    }
    assert_true(delays_next(&delays) == DELAYS_NEVER);
    delays_remove(&delays, &all[0]); // it is in none
    delays_finish(&delays);
    assert_int_equal(delays.room, 0);
}

static struct delayed_all answers;

static unsigned keep(const char *text, size_t length, uint64_t due)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct iovec bytes = {(char *)text, length};
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = sizeof to,
                             .msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = "control",
                             .msg_controllen = 7};

    return delayed_keep(&answers, NULL, &message, due);
}

TEST(an_answer_comes_out_as_it_was_kept)
{
    assert_int_equal(keep("later", 5, 20), 0);
    assert_int_equal(keep("", 0, 10), 0);
    assert_null(delayed_take(&answers, 9));
    struct delayed *delayed = delayed_take(&answers, 10);
    assert_int_equal(delayed->length, 0);
    free(delayed);
    delayed = delayed_take(&answers, DELAYS_NEVER);
    assert_memory_equal(delayed->bytes, "controllater", 12);
    assert_int_equal(delayed->to_length, sizeof(struct sockaddr_in));
    free(delayed);
    assert_int_equal(answers.bytes, 0);
    delayed_finish(&answers);
    answers = (struct delayed_all){.bytes = 0};
}

// Who waits for an hour keeps nobody out who waits for less.
TEST(of_one_too_many_the_one_that_would_wait_longest_is_dropped)
{
    for (unsigned i = 0; i < DELAYED_MAX; i++)
        assert_int_equal(keep("x", 1, 3600), 0);
    assert_int_equal(keep("y", 1, 3600), 1);
    assert_int_equal(keep("z", 1, 5), 1);
    assert_int_equal(answers.delays.count, DELAYED_MAX);
    assert_int_equal(answers.bytes, DELAYED_MAX);
    struct delayed *delayed = delayed_take(&answers, 5);
    assert_memory_equal(delayed->bytes + delayed->control_length, "z", 1);
    free(delayed);
    while ((delayed = delayed_take(&answers, DELAYS_NEVER))) {
        assert_memory_equal(delayed->bytes + delayed->control_length, "x", 1);
        free(delayed);
    }
    delayed_finish(&answers);
    answers = (struct delayed_all){.bytes = 0};
}

TEST(their_bytes_have_a_bound_too)
{
    static char large[65000];
    unsigned kept = 0;

    while (keep(large, sizeof large, 100 + kept) == 0)
        kept++;
    assert_int_equal(kept, DELAYED_MAX_BYTES / sizeof large);
    assert_int_equal(keep(large, DELAYED_MAX_BYTES % sizeof large, 1), 0);
    assert_int_equal(answers.bytes, DELAYED_MAX_BYTES);
    assert_int_equal(keep(large, sizeof large, 1), 1);
    assert_int_equal(answers.bytes, DELAYED_MAX_BYTES);
    assert_int_equal(answers.delays.count, kept + 1);
    delayed_finish(&answers);
    answers = (struct delayed_all){.bytes = 0};
}
