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

#include "results.h"
#include "system/loop.h"

struct bench;
struct flow;

// Datagrams come in any order or not at all: each has a place of its own while it is in flight. The
// answers on a connection come in order: messages that were begun together share one place.
struct flight {
    uint64_t since; // latency counts from here
    union {
        uint64_t sent;  // when the datagram was sent; 0: this place is free
        uint64_t count; // messages begun together that are not answered yet
    };
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
    uint64_t begun;          // messages, since the connection was made; the next one's number
    uint64_t answered;       // of these
    uint64_t phase_begun;    // since the phase began
    uint64_t out;            // bytes, or datagrams, that were sent
    size_t in;               // bytes of a reply that have come, if not all have
    char *reply;             // these bytes, or some of them: see lines_reply_room
    uint64_t first, end;     // lines: the places in use, first & bench->flights_mask and so on
    struct flight flights[]; // datagrams: that of number N at N & bench->flights_mask
};

// NULL without memory. What a message needs lies side by side: after each system call, on a machine
// that then forgets its page tables, every page that is touched costs.
struct flow *flow_create(struct bench *bench, unsigned number);
void flow_destroy(struct flow *flow);

// Begins as many messages as may be sent at NOW, and returns their number.
unsigned flow_begin(struct flow *flow, uint64_t now);

// Message SEQUENCE, which is in flight, was answered at NOW.
void flow_answered(struct flow *flow, uint64_t sequence, uint64_t now);

// The same for the next COUNT messages of a connection, all in flight.
void flow_answered_next(struct flow *flow, unsigned count, uint64_t now);

// Waits for answers from now on and, if OUT, until there is room to send; no system call if that is
// waited for already. 0, or -1 with errno.
int flow_wait(struct flow *flow, bool out);

// Whether the answer to datagram SEQUENCE is waited for.
bool flow_in_flight(const struct flow *flow, uint64_t sequence);

// Counts the datagrams that were sent before BEFORE as lost.
void flow_give_up(struct flow *flow, uint64_t before);

// Counts all that is in flight as lost.
void flow_give_up_all(struct flow *flow);

// The connection is over: a fault, with what is known of its cause.
void flow_fail(struct flow *flow, enum fault fault, const char *cause);

#endif
