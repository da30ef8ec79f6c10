// SPDX-License-Identifier: MIT
// flow: one connection's messages, counted: those begun, in flight, answered and lost.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pace.h"
#include "results.h"
#include "system/loop.h"

// What the flows of a run share.
struct flows {
    struct pace pace;
    struct loop *loop;
    struct results *results;
    unsigned depth;     // messages in flight on each
    uint64_t timeout;   // nanoseconds that an answer may take
    uint64_t in_flight; // messages of all
    unsigned alive;     // flows that have not ended
    uint64_t answered;  // when the last answer came
};

struct flow {
    struct watch watch;
    struct flows *flows;
    unsigned number;
    unsigned in_flight; // messages
    bool ended;
    bool paused;          // begins nothing until the next tick
    uint64_t room_since;  // when it last had as much in flight as it may have, or was paused
    uint64_t stumbling;   // since when there were faults and no answer; 0: it goes well
    uint64_t begun;       // messages, since the connection was made; the next one's number
    uint64_t answered;    // of these
    uint64_t phase_begun; // since the phase began
};

// A flow is the first member of a larger struct of BYTES bytes, the rest of which is zero. NULL
// without memory.
struct flow *flow_create(struct flows *flows, unsigned number, size_t bytes);
void flow_destroy(struct flow *flow);

// How many messages may be begun at NOW.
uint64_t flow_allowance(const struct flow *flow, uint64_t now);

// From when the latency of message N of those that are begun next counts.
uint64_t flow_since(const struct flow *flow, uint64_t n, uint64_t now);

// COUNT messages, no more than were allowed, are in flight from NOW on.
void flow_begin(struct flow *flow, uint64_t count, uint64_t now);

// COUNT messages are in flight no more, from NOW on.
void flow_land(struct flow *flow, unsigned count, uint64_t now);

// COUNT messages whose latency counts from SINCE were answered at NOW.
void flow_record(struct flow *flow, uint64_t since, uint64_t now, unsigned count);

// Waits for answers from now on and, if OUT, until there is room to send; no system call if that is
// waited for already. 0, or -1 with errno.
int flow_wait(struct flow *flow, bool out);

// Closes the connection.
void flow_close(struct flow *flow);

// The connection is over: a fault, with what is known of its cause.
void flow_fail(struct flow *flow, enum fault fault, const char *cause);

// The same fault where the next message may fare better, as after a restart of the server: FLOW is
// paused. It ends all the same after a time without any answer in which one should have come.
void flow_stumble(struct flow *flow, enum fault fault, const char *cause, uint64_t now);
