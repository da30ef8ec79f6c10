// SPDX-License-Identifier: MIT
// clock: the monotonic time in nanoseconds, and this process's own CPU time.
#pragma once

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND UINT64_C(1000000000)

static inline uint64_t clock_read(clockid_t clock)
{
    struct timespec time = {.tv_sec = 0};

    clock_gettime(clock, &time); // cannot fail for a clock that exists
    return (uint64_t)time.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)time.tv_nsec;
}

static inline uint64_t clock_now(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static inline uint64_t clock_own_cpu(void)
{
    return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}
