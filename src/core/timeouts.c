// SPDX-License-Identifier: MIT
#include "core/timeouts.h"

#include <stddef.h>

#include "ground/util.h"

void timeouts_init(struct timeouts *timeouts, unsigned seconds)
{
    list_init(&timeouts->list);
    timeouts->after = seconds == 0 ? TICKS_NEVER : seconds * TICKS_PER_SECOND;
}

void timeout_init(struct timeout *timeout)
{
    list_init(&timeout->link);
    timeout->due = TICKS_NEVER;
}

bool timeout_running(const struct timeout *timeout)
{
    return !list_empty(&timeout->link);
}

void timeouts_start(struct timeouts *timeouts, struct timeout *timeout, ticks now)
{
    // NOW is somewhere within its tick: one tick more, so that nothing falls due too early.
    timeout->due = timeouts->after == TICKS_NEVER ? TICKS_NEVER : now + timeouts->after + 1;
    list_remove(&timeout->link);
    list_append(&timeouts->list, &timeout->link);
}

void timeout_stop(struct timeout *timeout)
{
    list_remove(&timeout->link);
}

static struct timeout *first(const struct timeouts *timeouts)
{
    return list_empty(&timeouts->list) ? NULL
                                       : container_of(timeouts->list.next, struct timeout, link);
}

struct timeout *timeouts_due(const struct timeouts *timeouts, ticks now)
{
    struct timeout *timeout = first(timeouts);

    return timeout && timeout->due <= now ? timeout : NULL;
}

ticks timeouts_next(const struct timeouts *timeouts)
{
    struct timeout *timeout = first(timeouts);

    return timeout ? timeout->due : TICKS_NEVER;
}

static ticks due_of(const struct list *link)
{
    return container_of(link, struct timeout, link)->due;
}

// Moves all of OTHER to where it belongs in INTO: both are in order.
static void merge(struct list *into, struct list *other)
{
    struct list *at = into->next;

    while (!list_empty(other)) {
        struct list *link = other->next;

        while (at != into && due_of(at) <= due_of(link))
            at = at->next;
        list_remove(link);
        list_append(at, link);
    }
}

// Puts LINK into the runs, each of which is in order and has twice as many as the one before, or
// none.
static void sort_in(struct list *run, struct list *link)
{
    struct list carried;

    list_init(&carried);
    list_remove(link);
    list_append(&carried, link);
    for (; !list_empty(run); run++) {
        merge(run, &carried);
        list_move_all(&carried, run);
    }
    list_move_all(run, &carried);
}

void timeouts_sort(struct timeouts *timeouts)
{
    enum { RUNS = 33 }; // for as many as a process may have descriptors, and more
    struct list run[RUNS], *all = &timeouts->list;

    for (int i = 0; i < RUNS; i++)
        list_init(&run[i]);
    while (!list_empty(all))
        sort_in(run, all->next);
    for (int i = 0; i < RUNS; i++) {
        merge(&run[i], all);
        list_move_all(all, &run[i]);
    }
}
