// SPDX-License-Identifier: MIT
// world: one universe: its time, what is going to happen in it, and how it ends when an oracle
// finds the daemon at fault. One seed gives one universe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"
#include "ground/util.h"
#include "server.h"

#define SECOND ((uint64_t)1000000000)
#define MILLISECOND ((uint64_t)1000000)
#define TICK (250 * MILLISECOND)
#define NEVER UINT64_MAX

struct server;

struct world {
    uint64_t seed;
    bool tracing;
    struct chance chance;
    uint64_t epoch;        // when it began
    uint64_t now;          // nanoseconds, monotonic
    int64_t wall;          // what CLOCK_REALTIME is ahead
    uint64_t wall_changed; // when it was last set by somebody
    const struct server *server;

    // A turn is all that happens between two returns of epoll_wait.
    uint64_t turn, turn_start;
    unsigned calls;  // in this turn
    unsigned futile; // turns in a row without progress
    bool progress;   // in this turn

    bool started;        // server_init is over
    bool may_stop;       // a right /shutdown was read
    unsigned stops;      // SIGINT and SIGTERM that were read
    bool draining;       // the listeners are closed
    uint64_t stop_first; // when the first reason to stop was seen: no earlier than that
    uint64_t drain_low, drain_high;
    bool over;  // a signal was read while it was draining
    bool fatal; // a fault was injected that the daemon cannot go on with

    bool succession; // one process has left everything, and the next has not taken it yet

    bool hush;          // nothing happens any more: clients stay as they are
    uint64_t rest_from; // from then on the daemon must not wake up
    bool ending;        // clients that have not begun do not begin any more
};

extern struct world world;

// This universe's chance.
static inline uint64_t between(uint64_t low, uint64_t high)
{
    return chance_between(&world.chance, low, high);
}

static inline bool one_in(uint64_t n)
{
    return chance_one_in(&world.chance, n);
}

static inline uint64_t magnitude(uint64_t high)
{
    return chance_magnitude(&world.chance, high);
}

void world_begin(uint64_t seed, bool tracing);
void world_end(void);

// Has ACT called with SUBJECT at a time.
void world_at(uint64_t at, void (*act)(void *subject), void *subject);

// When the next such call is due, or NEVER.
uint64_t world_next(void);

// Calls all that are due.
void world_run(void);

// Puts TIME in front of COUNT others, the last of which is forgotten.
void world_remember(uint64_t *times, size_t count, uint64_t time);

// The daemon is at fault: says so, with the seed, and ends the process.
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

// The daemon makes no call with other arguments than WHAT allows.
#define must(what) ((what) ? (void)0 : fail("%s: does not hold: %s", __func__, #what))

void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
