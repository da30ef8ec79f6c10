// SPDX-License-Identifier: MIT
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"

struct world world;

struct event {
    uint64_t at;
    void (*act)(void *subject);
    void *subject;
};

// The next one is the last; of two at the same time, the one that was asked for first.
static struct {
    struct event *event;
    size_t count, room;
} events;

void world_begin(uint64_t seed, bool tracing)
{
    // The log's limiter remembers its second across universes: no two share one.
    world = (struct world){
        .seed = seed,
        .tracing = tracing,
        .chance = {seed},
        .now = (1000 + seed % 300000 * 3000) * SECOND,
        .rest_from = NEVER,
        .stop_first = NEVER,
        .drain_low = NEVER,
        .drain_high = NEVER,
    };
    world.epoch = world.now;
    world.now += between(0, SECOND);
    world.wall = (int64_t)(1700000000 * SECOND);
    events.count = 0;
}

void world_end(void)
{
    events.event = memory_own(events.event, 0);
    events.count = events.room = 0;
    world.server = NULL;
}

void world_at(uint64_t at, void (*act)(void *subject), void *subject)
{
    events.event = memory_room(events.event, events.count, &events.room, sizeof *events.event);
    struct event *place = events.event + events.count++;
    for (; place > events.event && place[-1].at <= at; place--)
        *place = place[-1];
    *place = (struct event){at, act, subject};
}

uint64_t world_next(void)
{
    return events.count > 0 ? events.event[events.count - 1].at : NEVER;
}

void world_run(void)
{
    while (world_next() <= world.now) {
        struct event event = events.event[--events.count];

        event.act(event.subject);
    }
}

void world_remember(uint64_t *times, size_t count, uint64_t time)
{
    memmove(times + 1, times, (count - 1) * sizeof *times);
    times[0] = time;
}

void fail(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "seed %llu: ", (unsigned long long)world.seed);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (turn %llu, %.6f s)\n", (unsigned long long)world.turn,
            (double)(world.now - world.epoch) / 1e9);
    _exit(EXIT_FAILURE);
}

void trace(const char *format, ...)
{
    va_list arguments;

    if (!world.tracing)
        return;
    printf("%12.6f ", (double)(world.now - world.epoch) / 1e9);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}
