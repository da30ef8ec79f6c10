// SPDX-License-Identifier: MIT
// crowd: all connections together: what falls due, and how they end.
#pragma once

#include <stdbool.h>

#include "core/timeouts.h"
#include "transport/pool.h"

enum { CROWD_PER_TURN_MAX = 64 };

// Ends what is due at NOW, at most CROWD_PER_TURN_MAX connections of each kind; but who has sent
// something meanwhile is heard first, for the process itself may have slept. Gives the system back
// what was freed, if pool_trim_due. crowd_next says when to be called again.
void crowd_expire(struct pool *pool, ticks now);
ticks crowd_next(const struct pool *pool);

// Takes up those whose own time has come at NOW, in nanoseconds since the loop's start, some at a
// time.
void crowd_wake(struct pool *pool, uint64_t now);

// From PHASE_DRAIN on a connection ends as soon as it owes nothing. Each of those that read is to
// have a turn before, so that what has been received is answered: crowd_drain remembers them,
// crowd_drain_some gives CROWD_PER_TURN_MAX of them theirs, and is false when all have had it.
void crowd_drain(struct pool *pool);
bool crowd_drain_some(struct pool *pool);

// Ends the observer that has waited longest, if one more would be more than OBSERVERS_MAX.
void crowd_make_room(struct pool *pool);

// REASON is for the log.
void crowd_close(struct pool *pool, const char *reason);
