// SPDX-License-Identifier: MIT
#include "system/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "ground/util.h"

enum { NANOSECONDS_PER_TICK = TICK_MILLISECONDS * 1000000 };

static void timer_ready(struct watch *watch, uint32_t events)
{
    struct loop *loop = container_of(watch, struct loop, timer);
    uint64_t times;

    (void)events;
    // Nothing to read: the time was set anew after epoll_wait had seen it go off.
    if (read(watch->fd, &times, sizeof times) < 0)
        return;
    loop->armed = LOOP_NEVER;
    loop->expired(loop);
}

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int loop_init(struct loop *loop, void (*expired)(struct loop *loop))
{
    // Ticks count from here, for the clock itself may have gone on for more than they hold: in a
    // time namespace (time_namespaces(7)), say.
    *loop = (struct loop){.start = nanoseconds() - NANOSECONDS_PER_TICK,
                          .expired = expired,
                          .armed = LOOP_NEVER,
                          .timer = {.ready = timer_ready, .fd = -1}};
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0)
        return -1;
    loop->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer.fd < 0)
        return -1;
    return loop_add(loop, &loop->timer, EPOLLIN);
}

void loop_finish(struct loop *loop)
{
    if (loop->timer.fd >= 0)
        close(loop->timer.fd);
    if (loop->epoll >= 0)
        close(loop->epoll);
}

bool loop_continue(struct loop *loop, uint64_t start)
{
    uint64_t now = nanoseconds();

    if (start > now || now - start < NANOSECONDS_PER_TICK ||
        (now - start) / NANOSECONDS_PER_TICK >= TICKS_NEVER / 2)
        return false;
    loop->start = start;
    loop->now = 0;
    return true;
}

static int control(struct loop *loop, int operation, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    // With urgent data or FIN behind what it reads, a short read has not emptied the socket.
    if (watch->edge)
        event.events |= (events & EPOLLIN) ? EPOLLET | EPOLLPRI | EPOLLRDHUP : EPOLLET;
    if (epoll_ctl(loop->epoll, operation, watch->fd, &event) < 0)
        return -1;
    watch->events = (uint16_t)events;
    return 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    watch->edge = events & EPOLLET;
    return control(loop, EPOLL_CTL_ADD, watch, events & ~(uint32_t)EPOLLET);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (events == watch->events && !(watch->edge && watch->more))
        return 0;
    return control(loop, EPOLL_CTL_MOD, watch, events);
}

void loop_spent(struct loop *loop, struct watch *watch, uint64_t bytes)
{
    loop->spent += bytes;
    if (bytes >= LOOP_LONG_BYTES) {
        watch->later = true;
        watch->calm = 0;
    } else if (watch->later && ++watch->calm == LOOP_CALM_TURNS) {
        watch->later = false;
    }
}

void loop_urgent(struct loop *loop, struct watch *watch)
{
    loop->urgent = watch;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    // It cannot fail for a descriptor that is registered, and there would be nothing to be done.
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->at; i < loop->ready; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

// Moves the events of later watches to the end of the batch, and begins with any of them: the
// kernel's order changes with what is done here, and going round in it would leave some out for
// long. Returns the number of the others.
static int put_later_last(struct loop *loop)
{
    struct epoll_event last[LOOP_BATCH_MAX];
    unsigned first =
        ((uint32_t)loop->turns * UINT32_C(2654435761)) >> 16; // Knuth's multiplicative hash
    int sooner = 0, later = 0;

    for (int i = 0; i < loop->ready; i++) {
        const struct watch *watch = loop->batch[i].data.ptr;

        if (watch->later)
            last[later++] = loop->batch[i];
        else
            loop->batch[sooner++] = loop->batch[i];
    }
    for (int i = 0; i < later; i++)
        loop->batch[sooner + i] = last[(first + (unsigned)i) % (unsigned)later];
    return sooner;
}

// Nothing is lost: what is level-triggered is reported again, behind all others.
static void postpone(struct loop *loop, struct watch *watch, uint32_t events)
{
    if (watch->edge && control(loop, EPOLL_CTL_MOD, watch, watch->events) < 0)
        watch->ready(watch, events);
}

static void handle(struct loop *loop, int sooner)
{
    for (loop->at = 0; loop->at < loop->ready;) {
        bool wait = loop->at >= sooner && loop->spent >= LOOP_TURN_BYTES;
        const struct epoll_event *event = &loop->batch[loop->at++];
        struct watch *watch = event->data.ptr;

        if (!watch)
            continue;
        watch->more = event->events != EPOLLIN;
        if (wait)
            postpone(loop, watch, event->events);
        else
            watch->ready(watch, event->events);
    }
}

int loop_turn(struct loop *loop, bool wait)
{
    int ready = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH_MAX, wait ? -1 : 0);

    loop->now = loop->spent = 0;
    loop->turns++;
    if (ready < 0)
        return errno == EINTR ? 0 : -1; // a debugger, or SIGCONT: no signal of ours is unblocked
    loop->ready = ready;
    handle(loop, put_later_last(loop));
    if (ready == LOOP_BATCH_MAX) {
        timer_ready(&loop->timer, 0);
        if (loop->urgent)
            loop->urgent->ready(loop->urgent, 0);
    }
    return 0;
}

int loop_arm_at(struct loop *loop, uint64_t at)
{
    uint64_t clock = loop->start + at;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(clock / 1000000000),
                                           .tv_nsec = (long)(clock % 1000000000)}};

    if (at >= loop->armed)
        return 0;
    if (timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return -1;
    loop->armed = at;
    return 0;
}

int loop_arm(struct loop *loop, ticks due)
{
    return loop_arm_at(loop,
                       due == TICKS_NEVER ? LOOP_NEVER : (uint64_t)due * NANOSECONDS_PER_TICK);
}

uint64_t loop_clock(const struct loop *loop)
{
    return nanoseconds() - loop->start;
}

uint64_t loop_nanoseconds(struct loop *loop)
{
    if (loop->now == 0)
        loop->now = loop_clock(loop);
    return loop->now;
}

ticks loop_now(struct loop *loop)
{
    return (ticks)(loop_nanoseconds(loop) / NANOSECONDS_PER_TICK);
}
