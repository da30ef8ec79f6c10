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
    uint64_t at, number; // of two at the same time, the one that was asked for first
    void (*act)(void *subject);
    void *subject;
};

// A binary heap.
static struct {
    struct event *event;
    size_t count, room;
    uint64_t number;
} heap;

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
    heap.count = 0;
}

void world_end(void)
{
    heap.event = memory_own(heap.event, 0);
    heap.count = heap.room = 0;
    world.server = NULL;
}

static bool sooner(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->number < b->number);
}

static void swap(size_t i, size_t j)
{
    struct event event = heap.event[i];

    heap.event[i] = heap.event[j];
    heap.event[j] = event;
}

void world_at(uint64_t at, void (*act)(void *subject), void *subject)
{
    heap.event = memory_room(heap.event, heap.count, &heap.room, sizeof *heap.event);
    heap.event[heap.count] = (struct event){at, heap.number++, act, subject};
    for (size_t i = heap.count++; i > 0 && sooner(&heap.event[i], &heap.event[(i - 1) / 2]);
         i = (i - 1) / 2)
        swap(i, (i - 1) / 2);
}

uint64_t world_next(void)
{
    return heap.count > 0 ? heap.event[0].at : NEVER;
}

static struct event pop(void)
{
    struct event first = heap.event[0];

    heap.event[0] = heap.event[--heap.count];
    for (size_t i = 0, child = 1; child < heap.count; child = 2 * i + 1) {
        if (child + 1 < heap.count && sooner(&heap.event[child + 1], &heap.event[child]))
            child++;
        if (!sooner(&heap.event[child], &heap.event[i]))
            break;
        swap(i, child);
        i = child;
    }
    return first;
}

void world_run(void)
{
    while (world_next() <= world.now) {
        struct event event = pop();

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
