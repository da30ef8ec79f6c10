// SPDX-License-Identifier: MIT
#include "core/delays.h"

#include <stdlib.h>

enum { ROOM_MIN = 16 };

void delays_finish(struct delays *delays)
{
    free(delays->heap);
    *delays = (struct delays){.heap = NULL};
}

static void put(struct delays *delays, uint32_t place, struct delay *delay)
{
    delays->heap[place - 1] = delay;
    delay->place = place;
}

static struct delay *at(const struct delays *delays, uint32_t place)
{
    return delays->heap[place - 1];
}

// Puts DELAY into PLACE, which is free, or above it.
static void rise(struct delays *delays, uint32_t place, struct delay *delay)
{
    for (; place > 1 && at(delays, place / 2)->due > delay->due; place /= 2)
        put(delays, place, at(delays, place / 2));
    put(delays, place, delay);
}

// Puts DELAY into PLACE, which is free, or below it.
static void sink(struct delays *delays, uint32_t place, struct delay *delay)
{
    for (uint32_t child; (child = 2 * place) <= delays->count; place = child) {
        if (child < delays->count && at(delays, child + 1)->due < at(delays, child)->due)
            child++;
        if (at(delays, child)->due >= delay->due)
            break;
        put(delays, place, at(delays, child));
    }
    put(delays, place, delay);
}

static bool reserve(struct delays *delays)
{
    uint32_t room = delays->room > 0 ? 2 * delays->room : ROOM_MIN;

    if (delays->count < delays->room)
        return true;
    struct delay **heap = realloc(delays->heap, room * sizeof(struct delay *));
    if (!heap)
        return false;
    delays->heap = heap;
    delays->room = room;
    return true;
}

bool delays_add(struct delays *delays, struct delay *delay, uint64_t due)
{
    if (!reserve(delays))
        return false;
    delay->due = due;
    rise(delays, ++delays->count, delay);
    return true;
}

void delays_remove(struct delays *delays, struct delay *delay)
{
    uint32_t place = delay->place;

    if (place == 0)
        return;
    struct delay *last = at(delays, delays->count--);
    delay->place = 0;
    if (last == delay)
        return;
    if (last->due < delay->due)
        rise(delays, place, last);
    else
        sink(delays, place, last);
}

struct delay *delays_due(const struct delays *delays, uint64_t now)
{
    return delays->count > 0 && at(delays, 1)->due <= now ? at(delays, 1) : NULL;
}

struct delay *delays_last(const struct delays *delays)
{
    struct delay *last = NULL;

    for (uint32_t place = delays->count / 2 + 1; place <= delays->count; place++)
        if (!last || at(delays, place)->due > last->due)
            last = at(delays, place);
    return last;
}

uint64_t delays_next(const struct delays *delays)
{
    return delays->count > 0 ? at(delays, 1)->due : DELAYS_NEVER;
}
