// SPDX-License-Identifier: MIT
// timeouts: deadlines of many objects that all have the same time to live.
//
// Since that time is the same for all, the order of starting is the order of falling due: a list
// is exact, and each operation is O(1). Time counts in ticks, whole periods of the monotonic
// clock, so that one wakeup serves all that falls due in a period.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ground/list.h"

typedef uint32_t ticks; // since the loop's start; 34 years

enum { TICKS_PER_SECOND = 4, TICK_MILLISECONDS = 1000 / TICKS_PER_SECOND };
#define TICKS_NEVER UINT32_MAX

static inline ticks ticks_sooner(ticks a, ticks b)
{
    return a < b ? a : b;
}

// Whether something that goes on is to be told now, which is once a minute. TOLD: when it last was,
// or TICKS_NEVER.
static inline bool ticks_tell(ticks *told, ticks now)
{
    if (*told != TICKS_NEVER && now - *told <= 60 * TICKS_PER_SECOND)
        return false;
    *told = now;
    return true;
}

struct timeout {
    struct list link;
    ticks due; // at the start of this tick
};

struct timeouts {
    struct list list;
    ticks after; // TICKS_NEVER: they do not fall due, but stand in the list all the same
};

// AFTER a number of seconds; 0 is never.
void timeouts_init(struct timeouts *timeouts, unsigned seconds);

// A timeout that has not been started.
void timeout_init(struct timeout *timeout);
bool timeout_running(const struct timeout *timeout);

// Starts TIMEOUT, or starts it anew.
void timeouts_start(struct timeouts *timeouts, struct timeout *timeout, ticks now);
void timeout_stop(struct timeout *timeout);

// Puts those whose deadlines were set otherwise than by timeouts_start in order, in O(n log n).
void timeouts_sort(struct timeouts *timeouts);

// A timeout that is due at NOW, which stays in the list until it is stopped or started anew; or
// NULL.
struct timeout *timeouts_due(const struct timeouts *timeouts, ticks now);

// The tick at which the first falls due, or TICKS_NEVER.
ticks timeouts_next(const struct timeouts *timeouts);
