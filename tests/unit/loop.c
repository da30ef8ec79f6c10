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

#include "system/loop.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

static struct {
    unsigned clock_reads;
    time_t seconds;
    int wait_error; // of the next epoll_wait; 0: none
    int arm_error;  // of the next timerfd_settime; 0: none
    struct timespec armed;
    bool frees_zero; // descriptor 0 is free for the next timer
} kernel;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    kernel.clock_reads++;
    *time = (struct timespec){.tv_sec = kernel.seconds, .tv_nsec = 999999999};
    return 0;
}

int __real_epoll_wait(int epoll, struct epoll_event *events, int room, int milliseconds);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int room, int milliseconds)
{
    if (kernel.wait_error == 0)
        return __real_epoll_wait(epoll, events, room, milliseconds);
    errno = kernel.wait_error;
    kernel.wait_error = 0;
    return -1;
}

int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags)
{
    if (kernel.frees_zero)
        close(0);
    return __real_timerfd_create(clock, flags);
}

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *time,
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

// A watch on an eventfd, which is readable as soon as it is told so.
struct bell {
    struct watch watch;
    struct bell **place; // in bells
    unsigned rung;
    uint32_t events;
    struct bell *takes_away; // the first time that it is reported
};

static struct bell *bells[2 * LOOP_BATCH_MAX];

static void bell_remove(struct bell *bell)
{
    *bell->place = NULL;
    loop_remove(&loop, &bell->watch);
    close(bell->watch.fd);
    free(bell);
}

AFTER_EACH
{
    for (size_t i = 0; i < ARRAY_LENGTH(bells); i++)
        if (bells[i])
            bell_remove(bells[i]);
    loop_finish(&loop);
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
    struct bell *bell = calloc(1, sizeof *bell), **place = bells;

    assert_non_null(bell);
    while (*place)
        place++;
    *place = bell;
    bell->place = place;
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
    assert_int_equal(loop_turn(&loop), 0);
}

TEST(a_new_loop_is_at_rest)
{
    assert_int_equal(loop.at, 0);
    assert_int_equal(loop.ready, 0);
    assert_int_equal(loop.later, 0);
    assert_int_equal(loop.armed, TICKS_NEVER);
    kernel.seconds = 5;
    assert_int_equal(loop_now(&loop), 5 * 4 + 3); // before any turn, too
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
    assert_int_equal(loop_change(&loop, &quiet->watch, EPOLLOUT), 0);
    assert_int_equal(quiet->watch.events, EPOLLOUT);
    turn();
    assert_int_equal(quiet->events, EPOLLOUT);
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
}

TEST(more_than_a_batch_takes_turns)
{
    enum { MANY = 2 * LOOP_BATCH_MAX };
    struct bell *bell[MANY];

    for (int i = 0; i < MANY; i++)
        bell[i] = bell_add(EPOLLIN, true);
    turn();
    turn();
    for (int i = 0; i < MANY; i++)
        assert_int_equal(bell[i]->rung, 1);
}

static unsigned in_turn;

static void bell_counts(struct watch *watch, uint32_t events)
{
    (void)events;
    container_of(watch, struct bell, watch)->rung = ++in_turn;
}

TEST(a_later_watch_comes_after_the_others)
{
    enum { COUNT = 6 };
    // Ready in this order; the order is kept among the later ones and among the others.
    static const unsigned place[COUNT] = {4, 1, 5, 2, 3, 6};
    struct bell *bell[COUNT];

    in_turn = 0;
    for (int i = 0; i < COUNT; i++) {
        bell[i] = bell_add(EPOLLIN, true);
        bell[i]->watch.ready = bell_counts;
        loop_later(&loop, &bell[i]->watch, place[i] > 3);
    }
    turn();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(bell[i]->rung, place[i]);
    assert_int_equal(loop.later, 3);
    assert_int_equal(loop_change(&loop, &bell[0]->watch, EPOLLOUT), 0);
    turn(); // and it is still later
    assert_int_equal(bell[0]->rung, COUNT + 4);
    loop_later(&loop, &bell[0]->watch, false);
    assert_int_equal(bell[0]->watch.events, EPOLLOUT);
    assert_int_equal(loop.later, 2);
    for (int i = 2; i < COUNT; i++)
        bell_remove(bell[i]);
    assert_int_equal(loop.later, 0);
    loop_later(&loop, &bell[0]->watch, true); // one is enough
    loop_later(&loop, &bell[0]->watch, true);
    assert_int_equal(loop.later, 1);
    in_turn = 0;
    turn();
    assert_int_equal(bell[1]->rung, 1);
    assert_int_equal(bell[0]->rung, 2);
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
    assert_int_equal(loop_turn(&loop), -1);
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
    assert_int_equal(loop.armed, 1);
    turn();
    turn();
    assert_int_equal(bell->rung, 2);
    assert_int_equal(expired, 1);
    assert_int_equal(loop.armed, TICKS_NEVER);
}

// The timer is set to the start of its tick, which is a quarter of a second, and not before.
TEST(a_deadline_is_exact)
{
    kernel.arm_error = EINVAL; // or it is told that it could not be set
    assert_int_equal(loop_arm(&loop, 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(loop.armed, TICKS_NEVER);
    kernel.arm_error = 0;
    assert_int_equal(loop_arm(&loop, 4000000003), 0);
    assert_int_equal(kernel.armed.tv_sec, 1000000000);
    assert_int_equal(kernel.armed.tv_nsec, 750000000);
    kernel.seconds = 1000000000;
    assert_int_equal(loop_now(&loop), 4000000003);
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
    assert_int_equal(loop.armed, 1);
}

TEST(only_an_earlier_deadline_counts)
{
    struct itimerspec before, after;

    assert_int_equal(loop_arm(&loop, TICKS_NEVER), 0); // never: nothing is armed
    assert_int_equal(timerfd_gettime(loop.timer.fd, &before), 0);
    assert_int_equal(before.it_value.tv_sec, 0);
    assert_int_equal(loop_arm(&loop, TICKS_NEVER - 2), 0);
    assert_int_equal(loop_arm(&loop, TICKS_NEVER - 1), 0);
    assert_int_equal(loop.armed, TICKS_NEVER - 2);
    assert_int_equal(loop_arm(&loop, TICKS_NEVER / 2), 0);
    assert_int_equal(loop.armed, TICKS_NEVER / 2);
    assert_int_equal(timerfd_gettime(loop.timer.fd, &after), 0);
    assert_true(after.it_value.tv_sec > 0);
    assert_int_equal(after.it_interval.tv_sec, 0); // it does not tick
    assert_int_equal(expired, 0);
}

TEST(the_clock_is_read_once_a_turn_and_only_if_asked)
{
    bell_add(EPOLLIN, true);
    turn();
    assert_int_equal(kernel.clock_reads, 0);
    kernel.seconds = 100;
    assert_int_equal(loop_now(&loop), 100 * TICKS_PER_SECOND + 3); // rounded down
    kernel.seconds = 200;
    assert_int_equal(loop_now(&loop), 100 * TICKS_PER_SECOND + 3);
    assert_int_equal(kernel.clock_reads, 1);
    turn();
    assert_int_equal(loop_now(&loop), 200 * TICKS_PER_SECOND + 3);
}
