// SPDX-License-Identifier: MIT
// crowd: all connections together: what falls due, and how they end.
#pragma once

#include "core/timeouts.h"
#include "transport/pool.h"

enum { EXPIRED_PER_TURN_MAX = 64 };

// Ends what is due at NOW, at most EXPIRED_PER_TURN_MAX connections of each kind.
void crowd_expire(struct pool *pool, ticks now);
ticks crowd_next(const struct pool *pool);

// One turn for each connection that reads, so that what has been received is answered. From
// PHASE_DRAIN on a connection ends as soon as it owes nothing.
void crowd_drain(struct pool *pool);

// REASON is for the log.
void crowd_close(struct pool *pool, const char *reason);
