// SPDX-License-Identifier: MIT
#include "engine.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "ground/util.h"

static void signals_ready(struct watch *watch, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->fd, &info, sizeof info) > 0)
        container_of(watch, struct engine, signals)->interrupts++;
}

static void alarm_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    container_of(watch, struct engine, alarm)->rang = true;
}

static void ticker_ready(struct watch *watch, uint32_t events)
{
    uint64_t times;

    (void)events;
    if (read(watch->fd, &times, sizeof times) > 0)
        container_of(watch, struct engine, ticker)->ticked = true;
}

static int add(struct engine *engine, struct watch *watch, int fd,
               void (*ready)(struct watch *, uint32_t))
{
    *watch = (struct watch){.ready = ready, .fd = fd};
    return fd < 0 ? -1 : loop_add(&engine->loop, watch, EPOLLIN);
}

static int timer(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

int engine_init(struct engine *engine)
{
    const struct timespec tick = {.tv_nsec = ENGINE_TICK_NANOSECONDS};

    *engine = (struct engine){
        .loop = {.epoll = -1, .timer.fd = -1}, .signals.fd = -1, .alarm.fd = -1, .ticker.fd = -1};
    if (loop_init(&engine->loop, NULL) < 0 ||
        add(engine, &engine->alarm, timer(), alarm_ready) < 0 ||
        add(engine, &engine->ticker, timer(), ticker_ready) < 0)
        return -1;
    return timerfd_settime(engine->ticker.fd, 0, &(struct itimerspec){tick, tick}, NULL);
}

int engine_take_signals(struct engine *engine)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL); // cannot fail
    return add(engine, &engine->signals, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
               signals_ready);
}

void engine_finish(struct engine *engine)
{
    const int all[] = {engine->signals.fd, engine->alarm.fd, engine->ticker.fd};

    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        if (all[i] >= 0)
            close(all[i]);
    loop_finish(&engine->loop);
}

void engine_turn(struct engine *engine)
{
    engine->rang = engine->ticked = false;
    if (loop_turn(&engine->loop, true) < 0)
        abort(); // EBADF, EFAULT or EINVAL: of our own making
}

void engine_set_alarm(struct engine *engine, uint64_t at)
{
    struct itimerspec when = {.it_value = {.tv_sec = 0}};

    if (at != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(at / NANOSECONDS_PER_SECOND);
        when.it_value.tv_nsec = (long)(at % NANOSECONDS_PER_SECOND);
    }
    timerfd_settime(engine->alarm.fd, TFD_TIMER_ABSTIME, &when, NULL); // cannot fail for such times
}

void engine_wait(struct engine *engine, uint64_t until)
{
    engine_set_alarm(engine, until);
    while (clock_now() < until)
        engine_turn(engine);
    engine_set_alarm(engine, UINT64_MAX);
}
