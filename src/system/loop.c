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
    loop->armed = TICKS_NEVER;
    loop->expired(loop);
}

int loop_init(struct loop *loop, void (*expired)(struct loop *loop))
{
    loop->at = loop->ready = loop->later = 0;
    loop->now = 0;
    loop->expired = expired;
    loop->armed = TICKS_NEVER;
    loop->timer = (struct watch){.ready = timer_ready, .fd = -1};
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

void loop_later(struct loop *loop, struct watch *watch, bool later)
{
    if (later == watch->later)
        return;
    watch->later = later;
    loop->later += later ? 1 : -1;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    loop_later(loop, watch, false);
    // It cannot fail for a descriptor that is registered, and there would be nothing to be done.
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = loop->at; i < loop->ready; i++)
        if (loop->batch[i].data.ptr == watch)
            loop->batch[i].data.ptr = NULL;
}

// Moves the events of later watches to the end of the batch; the order is kept otherwise.
static void put_later_last(struct loop *loop)
{
    struct epoll_event last[LOOP_BATCH_MAX];
    int sooner = 0, later = 0;

    for (int i = 0; i < loop->ready; i++) {
        const struct watch *watch = loop->batch[i].data.ptr;

        if (watch->later)
            last[later++] = loop->batch[i];
        else
            loop->batch[sooner++] = loop->batch[i];
    }
    for (int i = 0; i < later; i++)
        loop->batch[sooner + i] = last[i];
}

int loop_turn(struct loop *loop)
{
    int ready = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH_MAX, -1);

    loop->now = 0;
    if (ready < 0)
        return errno == EINTR ? 0 : -1; // a debugger, or SIGCONT: no signal of ours is unblocked
    loop->ready = ready;
    if (loop->later > 0)
        put_later_last(loop);
    for (loop->at = 0; loop->at < loop->ready;) {
        const struct epoll_event *event = &loop->batch[loop->at++];
        struct watch *watch = event->data.ptr;

        if (!watch)
            continue;
        watch->more = event->events != EPOLLIN;
        watch->ready(watch, event->events);
    }
    return 0;
}

int loop_arm(struct loop *loop, ticks due)
{
    if (due >= loop->armed)
        return 0;
    uint64_t at = (uint64_t)due * NANOSECONDS_PER_TICK;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)}};

    if (timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return -1;
    loop->armed = due;
    return 0;
}

ticks loop_now(struct loop *loop)
{
    if (loop->now == 0) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
        loop->now = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    }
    return (ticks)(loop->now / NANOSECONDS_PER_TICK);
}
