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
