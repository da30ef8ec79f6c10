// SPDX-License-Identifier: MIT
// flow: one connection's messages, and when each of them is to be sent and was answered.
//
// In the closed loop a message is sent as soon as an earlier one is answered, and its latency
// counts from then. In the open loop it has a time at which it is to be sent, whatever became of
// the earlier ones, and its latency counts from that time: what a stall holds up is not hidden.
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "results.h"

struct bench;
struct flow;

// What a message needs while it is in flight.
struct flight {
    uint64_t since; // its latency counts from here
    uint64_t sent;  // 0: this place is free
};

// How messages travel: lines, datagrams or churn.
struct traffic {
    // Connects. False with errno.
    bool (*open)(struct flow *flow);
    // Sends what may be sent at NOW.
    void (*go)(struct flow *flow, uint64_t now);
};

struct flow {
    struct watch watch;
    struct bench *bench;
    unsigned number;
    unsigned in_flight; // messages
    bool ended;
    uint64_t begun;         // messages, since the connection was made; the next one's number
    uint64_t answered;      // of these
    uint64_t phase_begun;   // since the phase began
    uint64_t out;           // bytes, or datagrams, that were sent
    size_t in;              // bytes of a reply that have come, if not all have
    char *reply;            // these bytes; with --verify only
    struct flight *flights; // the one of message N at N & bench->flights_mask
};

// False without memory; flow_finish frees what was taken either way.
bool flow_init(struct flow *flow, struct bench *bench, unsigned number);
void flow_finish(struct flow *flow);

// Begins as many messages as may be sent at NOW, and returns their number.
unsigned flow_begin(struct flow *flow, uint64_t now);

// Message SEQUENCE, which is in flight, was answered at NOW.
void flow_answered(struct flow *flow, uint64_t sequence, uint64_t now);

// The same for the next COUNT messages, all in flight. What many messages have in common is done
// once: beside a server that answers a batch in one call, the load must not be the slower one.
void flow_answered_next(struct flow *flow, unsigned count, uint64_t now);

bool flow_in_flight(const struct flow *flow, uint64_t sequence);

// Counts the messages that were sent before BEFORE as lost.
void flow_give_up(struct flow *flow, uint64_t before);

// The connection is over: a fault, with what is known of its cause.
void flow_fail(struct flow *flow, enum fault fault, const char *cause);

#endif
