// SPDX-License-Identifier: MIT
// Linked with --wrap for clock_gettime, epoll_wait, timerfd_create and timerfd_settime: see below.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "ground/util.h"
#include "system/loop.h"

static struct {
    unsigned clock_reads;
    time_t seconds;
    int wait_error; // of the next epoll_wait; 0: none
    int arm_error;  // of the next timerfd_settime; 0: none
    struct timespec armed;
    bool frees_zero; // descriptor 0 is free for the next timer
} kernel;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    kernel.clock_reads++;
    *time = (struct timespec){.tv_sec = kernel.seconds, .tv_nsec = 999999999};
    return 0;
}

int __real_epoll_wait(int epoll, struct epoll_event *events, int room, int milliseconds);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int room, int milliseconds);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int room, int milliseconds)
{
    if (kernel.wait_error == 0)
        return __real_epoll_wait(epoll, events, room, milliseconds);
    errno = kernel.wait_error;
    kernel.wait_error = 0;
    return -1;
}

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
    if (kernel.frees_zero)
        close(0);
    return __real_timerfd_create(clock, flags);
}

#ifdef __USE_TIME_BITS64 // with 32 bits, libc's own of that name knows another time
#define REAL __asm__("__real___timerfd_settime64")
#else
#define REAL
#endif
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *time,
                           struct itimerspec *old) REAL;
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time,
                           struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *old)
{
    errno = kernel.arm_error;
    if (kernel.arm_error != 0)
        return -1;
    kernel.armed = time->it_value;
    return __real_timerfd_settime(fd, flags, time, old);
}

static struct loop loop;
static unsigned expired;

static void count_expired(struct loop *of)
{
    assert_ptr_equal(of, &loop);
    expired++;
}

BEFORE_EACH
{
    memset(&kernel, 0, sizeof kernel);
    memset(&loop, 0xff, sizeof loop);
    expired = 0;
    assert_int_equal(loop_init(&loop, count_expired), 0);
}

AFTER_EACH
{
    loop_finish(&loop);
}

// A watch on an eventfd, which is readable as soon as it is told so.
struct bell {
    struct watch watch;
    unsigned rung;
    uint32_t events;
    struct bell *takes_away; // the first time that it is reported
};

static void bell_remove(struct bell *bell)
{
    loop_remove(&loop, &bell->watch);
    close(bell->watch.fd);
    free(bell);
}

static void bell_ready(struct watch *watch, uint32_t events)
{
    struct bell *bell = container_of(watch, struct bell, watch);

    bell->rung++;
    bell->events = events;
    if (bell->takes_away) {
        bell->takes_away->takes_away = NULL;
        bell_remove(bell->takes_away);
        bell->takes_away = NULL;
    }
}

static struct bell *bell_add(uint32_t events, bool ringing)
{
    struct bell *bell = calloc(1, sizeof *bell);

    assert_non_null(bell);
    bell->watch = (struct watch){.ready = bell_ready, .fd = eventfd(ringing, EFD_NONBLOCK)};
    assert_true(bell->watch.fd >= 0);
    assert_int_equal(loop_add(&loop, &bell->watch, events), 0);
    return bell;
}

static void ring(struct bell *bell)
{
    uint64_t one = 1;

    assert_int_equal(write(bell->watch.fd, &one, sizeof one), sizeof one);
}

static void hush(struct bell *bell)
{
    uint64_t rings;

    assert_int_equal(read(bell->watch.fd, &rings, sizeof rings), sizeof rings);
}

static void turn(void)
{
    assert_int_equal(loop_turn(&loop, true), 0);
}

TEST(a_new_loop_is_at_rest)
{
    assert_int_equal(loop.at, 0);
    assert_int_equal(loop.ready, 0);
    assert_true(loop.armed == LOOP_NEVER);
    assert_int_equal(loop_now(&loop), 1); // before any turn, too
    loop.now = 0;
    kernel.seconds += 5;
    assert_int_equal(loop_now(&loop), 5 * 4 + 1);
}

TEST(only_what_is_ready_is_called)
{
    struct bell *quiet = bell_add(EPOLLIN, false), *ringing = bell_add(EPOLLIN, true);

    turn();
    assert_int_equal(quiet->rung, 0);
    assert_int_equal(ringing->rung, 1);
    assert_int_equal(ringing->events, EPOLLIN);
    assert_int_equal(ringing->watch.events, EPOLLIN);
    turn(); // level-triggered: until it is read
    assert_int_equal(ringing->rung, 2);
    hush(ringing);
    ring(quiet);
    turn();
    assert_int_equal(ringing->rung, 2);
    assert_int_equal(quiet->rung, 1);
    bell_remove(quiet);
    bell_remove(ringing);
}

TEST(a_changed_watch_reports_what_it_is_changed_to)
{
    struct bell *bell = bell_add(EPOLLIN, true);

    assert_int_equal(loop_change(&loop, &bell->watch, EPOLLOUT), 0);
    assert_int_equal(bell->watch.events, EPOLLOUT);
    turn();
    assert_int_equal(bell->events, EPOLLOUT);
    bell_remove(bell);
}

TEST(a_removed_watchs_waiting_events_are_taken_back)
{
    // Whichever comes first frees the other, whose event stands in the same batch.
    struct bell *one = bell_add(EPOLLIN, true), *other = bell_add(EPOLLIN, true);

    one->takes_away = other;
    other->takes_away = one;
    turn();
    assert_int_equal(loop.ready, 2);
    struct bell *left = loop.batch[0].data.ptr;
    assert_int_equal(left->rung, 1);
    turn();
    assert_int_equal(loop.ready, 1);
    assert_int_equal(left->rung, 2);
    bell_remove(left);
}

static void bell_rung_last(struct watch *watch, uint32_t events)
{
    (void)events;
    bell_remove(container_of(watch, struct bell, watch));
}

TEST(a_handler_may_free_its_own_watch)
{
    struct bell *once = bell_add(EPOLLIN, true), *after = bell_add(EPOLLIN, true);

    once->watch.ready = bell_rung_last;
    turn();
    assert_int_equal(loop.ready, 2);
    assert_int_equal(after->rung, 1);
    turn();
    assert_int_equal(loop.ready, 1);
    assert_int_equal(after->rung, 2);
    bell_remove(after);
}

TEST(an_edge_is_reported_once_and_again_when_asked)
{
    struct bell *edge = bell_add(EPOLLIN | EPOLLET, true), *level = bell_add(EPOLLIN, true);

    turn();
    turn();
    assert_int_equal(level->rung, 2);
    assert_int_equal(edge->rung, 1);
    assert_int_equal(loop_change(&loop, &edge->watch, EPOLLIN), 0); // all has been taken
    turn();
    assert_int_equal(edge->rung, 1);
    edge->watch.more = true; // it has not
    assert_int_equal(loop_change(&loop, &edge->watch, EPOLLIN), 0);
    turn();
    turn();
    assert_int_equal(level->rung, 5);
    assert_int_equal(edge->rung, 2);
    bell_remove(edge);
    bell_remove(level);
}

TEST(more_than_a_batch_takes_turns)
{
    enum { MANY = 2 * LOOP_BATCH_MAX };
    struct bell *bell[MANY];

    for (int i = 0; i < MANY; i++)
        bell[i] = bell_add(EPOLLIN, true);
    turn();
    turn();
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(bell[i]->rung, 1);
        bell_remove(bell[i]);
    }
}

static unsigned in_turn;

static void bell_counts(struct watch *watch, uint32_t events)
{
    (void)events;
    container_of(watch, struct bell, watch)->rung = ++in_turn;
}

TEST(who_took_a_long_turn_comes_after_the_others)
{
    enum { COUNT = 6 };
    static const bool longs[COUNT] = {true, false, true, false, false, true};
    struct bell *bell[COUNT];

    for (int i = 0; i < COUNT; i++) {
        bell[i] = bell_add(EPOLLIN, true);
        bell[i]->watch.ready = bell_counts;
        loop_spent(&loop, &bell[i]->watch, longs[i] ? LOOP_LONG_BYTES : LOOP_LONG_BYTES - 1);
    }
    for (int times = 0; times < 2; times++) {
        in_turn = 0;
        turn();
        // The order is kept among the others.
        assert_int_equal(bell[1]->rung, 1);
        assert_int_equal(bell[3]->rung, 2);
        assert_int_equal(bell[4]->rung, 3);
        assert_int_equal(bell[0]->rung + bell[2]->rung + bell[5]->rung, 4 + 5 + 6);
    }
    for (int i = 0; i < COUNT; i++)
        bell_remove(bell[i]);
}

TEST(so_many_short_turns_in_a_row_end_it)
{
    struct bell *bell = bell_add(EPOLLIN, false);

    loop_spent(&loop, &bell->watch, LOOP_LONG_BYTES);
    for (int i = 1; i < LOOP_CALM_TURNS; i++)
        loop_spent(&loop, &bell->watch, LOOP_LONG_BYTES - 1);
    assert_true(bell->watch.later);
    loop_spent(&loop, &bell->watch, LOOP_LONG_BYTES);
    for (int i = 1; i < LOOP_CALM_TURNS; i++)
        loop_spent(&loop, &bell->watch, 0);
    assert_true(bell->watch.later);
    loop_spent(&loop, &bell->watch, 0);
    assert_false(bell->watch.later);
    bell_remove(bell);
}

static void bell_spends(struct watch *watch, uint32_t events)
{
    (void)events;
    container_of(watch, struct bell, watch)->rung++;
    watch->more = true; // there always is
    loop_spent(&loop, watch, LOOP_TURN_BYTES / 4);
    assert_int_equal(loop_change(&loop, watch, EPOLLIN), 0);
}

// What is left of those with long turns waits for another look at the others, and each has its
// turn, edge-triggered or not.
TEST(long_turns_are_so_many_a_turn)
{
    enum { COUNT = 12, TURNS = 300 };
    struct bell *bell[COUNT], *other = bell_add(EPOLLIN, true);

    for (int i = 0; i < COUNT; i++) {
        bell[i] = bell_add(EPOLLIN | (i % 2 ? EPOLLET : 0), true);
        bell[i]->watch.ready = bell_spends;
        bell[i]->watch.later = true;
    }
    for (unsigned i = 1; i <= TURNS; i++) {
        unsigned before = 0, after = 0;

        for (int j = 0; j < COUNT; j++)
            before += bell[j]->rung;
        turn();
        for (int j = 0; j < COUNT; j++)
            after += bell[j]->rung;
        assert_int_equal(other->rung, i);
        assert_int_equal(after - before, 4);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_in_range(bell[i]->rung, TURNS * 4 / COUNT / 2, TURNS * 4 / COUNT * 2);
        bell_remove(bell[i]);
    }
    bell_remove(other);
}

static void bell_spends_all(struct watch *watch, uint32_t events)
{
    (void)events;
    loop_spent(&loop, watch, LOOP_TURN_BYTES);
}

// What waits in the batch was closed meanwhile by who came before, say.
TEST(a_turn_that_cannot_be_put_off_is_had_at_once)
{
    struct bell *bell = bell_add(EPOLLIN | EPOLLET, true), *before = bell_add(EPOLLIN, true);
    int kept = dup(bell->watch.fd);

    before->watch.ready = bell_spends_all;
    bell->watch.later = true;
    turn();
    assert_int_equal(bell->rung, 0);
    close(bell->watch.fd); // which leaves the set with the last descriptor alone
    turn();
    assert_int_equal(bell->rung, 1);
    bell->watch.fd = kept;
    bell_remove(bell);
    bell_remove(before);
}

static unsigned urgent_rung;

static void urgent_ready(struct watch *watch, uint32_t events)
{
    (void)watch, (void)events;
    urgent_rung++;
}

TEST(a_full_batch_does_not_hide_what_is_urgent)
{
    struct watch urgent = {.ready = urgent_ready, .fd = -1};
    struct bell *bell[LOOP_BATCH_MAX];

    loop_urgent(&loop, &urgent);
    for (int i = 0; i < LOOP_BATCH_MAX; i++) {
        if (i > 0)
            turn();
        assert_int_equal(urgent_rung, 0);
        bell[i] = bell_add(EPOLLIN, true);
    }
    assert_int_equal(loop_arm(&loop, 1), 0); // long ago
    turn();
    assert_int_equal(urgent_rung, 1);
    for (int i = 0; i < LOOP_BATCH_MAX; i++)
        bell_remove(bell[i]);
}

TEST(a_turn_that_does_not_wait_finds_nothing)
{
    assert_int_equal(loop_turn(&loop, false), 0);
    assert_int_equal(loop.ready, 0);
}

TEST(the_end_of_a_pipe_is_reported_unasked)
{
    struct bell bell = {.watch = {.ready = bell_ready}};
    int pair[2];

    assert_int_equal(pipe(pair), 0);
    bell.watch.fd = pair[0];
    assert_int_equal(loop_add(&loop, &bell.watch, 0), 0);
    close(pair[1]);
    turn();
    assert_int_equal(bell.events, EPOLLHUP);
    loop_remove(&loop, &bell.watch);
    close(pair[0]);
}

TEST(an_interrupted_wait_is_no_failure)
{
    kernel.wait_error = EINTR;
    turn();
    kernel.wait_error = EBADF;
    assert_int_equal(loop_turn(&loop, true), -1);
    assert_int_equal(errno, EBADF);
}

TEST(what_epoll_refuses_is_told)
{
    struct bell *bell = bell_add(EPOLLIN, false);
    struct watch none = {.ready = bell_ready, .fd = -1};

    assert_int_equal(loop_add(&loop, &bell->watch, EPOLLIN), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(loop_add(&loop, &none, EPOLLIN), -1);
    assert_int_equal(errno, EBADF);
    loop_remove(&loop, &bell->watch);
    assert_int_equal(loop_change(&loop, &bell->watch, EPOLLOUT), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(bell->watch.events, EPOLLIN); // as it was
    bell_remove(bell);
}

TEST(without_descriptors_nothing_is_left_open)
{
    struct loop other;
    struct rlimit limit, low;
    int next = dup(STDERR_FILENO); // the lowest that is free

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    for (rlim_t room = 0; room < 2; room++) { // none for epoll, and none for the timer
        low.rlim_cur = (rlim_t)next + room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(loop_init(&other, count_expired), -1);
        assert_int_equal(errno, EMFILE);
        loop_finish(&other);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(dup(STDERR_FILENO), next);
    close(next);
}

// Standard input may be closed: then 0 is a descriptor like any other.
TEST(descriptor_zero_is_served_and_closed)
{
    struct loop other;
    int standard = dup(0);

    for (int timer = 0; timer <= 1; timer++) {
        if (timer)
            assert_int_equal(dup2(standard, 0), 0);
        else
            close(0);
        kernel.frees_zero = timer;
        assert_int_equal(loop_init(&other, count_expired), 0);
        assert_int_equal(timer ? other.timer.fd : other.epoll, 0);
        loop_finish(&other);
        assert_int_equal(fcntl(0, F_GETFD), -1);
    }
    assert_int_equal(dup2(standard, 0), 0);
    close(standard);
}

TEST(a_deadline_that_has_come_expires_once)
{
    struct bell *bell = bell_add(EPOLLIN, true);

    assert_int_equal(loop_arm(&loop, 1), 0); // a quarter of a second after the machine's start
    assert_int_equal(loop.armed, 250000000);
    turn();
    turn();
    assert_int_equal(bell->rung, 2);
    assert_int_equal(expired, 1);
    assert_true(loop.armed == LOOP_NEVER);
    bell_remove(bell);
}

// The timer is set to the start of its tick, which is a quarter of a second, and not before.
TEST(a_deadline_is_exact)
{
    time_t begun = kernel.seconds;
    uint64_t at = loop.start + UINT64_C(4000000003) * 250000000;

    assert_int_equal(loop_arm(&loop, 4000000003), 0);
    assert_int_equal(kernel.armed.tv_sec, at / 1000000000);
    assert_int_equal(kernel.armed.tv_nsec, at % 1000000000);
    kernel.seconds = begun + 1000000000;
    assert_int_equal(loop_now(&loop), 4000000001); // the clock began at 1
}

TEST(a_deadline_may_lie_within_a_tick)
{
    uint64_t at = loop_clock(&loop) + 1000001, clock = loop.start + at;

    assert_int_equal(loop_arm_at(&loop, LOOP_NEVER), 0);
    assert_int_equal(loop_arm_at(&loop, at), 0);
    assert_int_equal(loop_arm_at(&loop, at + 1), 0); // only an earlier one counts
    assert_int_equal(kernel.armed.tv_sec, clock / 1000000000);
    assert_int_equal(kernel.armed.tv_nsec, clock % 1000000000);
    assert_int_equal(loop_nanoseconds(&loop), loop_clock(&loop));
}

TEST(a_deadline_that_cannot_be_set_is_told)
{
    kernel.arm_error = EINVAL;
    assert_int_equal(loop_arm(&loop, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_true(loop.armed == LOOP_NEVER);
}

static void bell_disarms(struct watch *watch, uint32_t events)
{
    const struct itimerspec never = {.it_value = {0}};

    bell_ready(watch, events);
    hush(container_of(watch, struct bell, watch));
    assert_int_equal(__real_timerfd_settime(loop.timer.fd, 0, &never, NULL), 0);
}

TEST(a_deadline_put_off_within_its_turn_does_not_expire)
{
    struct bell *bell = bell_add(EPOLLIN, true); // ready before the timer, and so handled before it

    bell->watch.ready = bell_disarms;
    assert_int_equal(loop_arm(&loop, 1), 0);
    turn();
    assert_int_equal(loop.ready, 2);
    assert_int_equal(bell->rung, 1);
    assert_int_equal(expired, 0);
    assert_int_equal(loop.armed, 250000000);
    bell_remove(bell);
}

TEST(only_an_earlier_deadline_counts)
{
    struct itimerspec before, after;

    assert_int_equal(loop_arm(&loop, TICKS_NEVER), 0); // never: nothing is armed
    assert_int_equal(timerfd_gettime(loop.timer.fd, &before), 0);
    assert_int_equal(before.it_value.tv_sec, 0);
    assert_int_equal(loop_arm(&loop, TICKS_NEVER - 2), 0);
    assert_int_equal(loop_arm(&loop, TICKS_NEVER - 1), 0);
    assert_int_equal(loop.armed, UINT64_C(250000000) * (TICKS_NEVER - 2));
    assert_int_equal(loop_arm(&loop, TICKS_NEVER / 2), 0);
    assert_int_equal(loop.armed, UINT64_C(250000000) * (TICKS_NEVER / 2));
    assert_int_equal(timerfd_gettime(loop.timer.fd, &after), 0);
    assert_true(after.it_value.tv_sec > 0);
    assert_int_equal(after.it_interval.tv_sec, 0); // it does not tick
    assert_int_equal(expired, 0);
}

TEST(the_clock_is_read_once_a_turn_and_only_if_asked)
{
    struct bell *bell = bell_add(EPOLLIN, true);

    turn();
    assert_int_equal(kernel.clock_reads, 1); // by loop_init
    kernel.seconds += 100;
    ticks now = loop_now(&loop);
    assert_int_equal(now, 100 * TICKS_PER_SECOND + 1); // rounded down
    kernel.seconds += 100;
    assert_int_equal(loop_now(&loop), now);
    assert_int_equal(kernel.clock_reads, 2);
    turn();
    assert_int_equal(loop_now(&loop), 200 * TICKS_PER_SECOND + 1);
    bell_remove(bell);
}

static uint64_t now_on_the_clock(void)
{
    return (uint64_t)kernel.seconds * 1000000000 + 999999999;
}

TEST(a_loop_goes_on_from_the_start_of_another)
{
    enum { TICK = TICK_MILLISECONDS * 1000000 };

    kernel.seconds = 100;
    loop_now(&loop); // which is forgotten
    assert_true(loop_continue(&loop, now_on_the_clock() - 41 * (uint64_t)TICK));
    assert_int_equal(loop_now(&loop), 41);
    assert_true(loop_continue(&loop, now_on_the_clock() - TICK));
    assert_int_equal(loop_now(&loop), 1);
}

TEST(of_another_time_it_does_not)
{
    enum { TICK = TICK_MILLISECONDS * 1000000 };
    uint64_t most = (uint64_t)TICKS_NEVER / 2 * TICK;

    kernel.seconds = 1 << 30;
    uint64_t now = now_on_the_clock();
    loop.start = 1;
    assert_false(loop_continue(&loop, now + 1));
    assert_false(loop_continue(&loop, now));
    assert_false(loop_continue(&loop, now - TICK + 1));
    assert_false(loop_continue(&loop, now - most));
    assert_false(loop_continue(&loop, UINT64_MAX));
    assert_int_equal(loop.start, 1);
    assert_true(loop_continue(&loop, now - most + 1));
}
