// SPDX-License-Identifier: MIT
// traffic: all flows of a run, and how their messages travel: lines, churn or datagrams.
#pragma once

#include "dial.h"
#include "flow.h"
#include "ground/util.h"
#include "settings.h"

struct traffic {
    const struct settings *settings;
    struct target *target;
    struct flows flows;
    bool stamped;      // messages carry a stamp to be told apart by
    size_t flow_bytes; // of a flow and of what belongs to it
    // Connects. False with errno.
    bool (*open)(struct flow *flow);
    // Sends what may be sent at NOW.
    void (*go)(struct flow *flow, uint64_t now);
    // Counts messages in flight as lost: those begun before BEFORE, or all where answers come in
    // order.
    void (*give_up)(struct flow *flow, uint64_t before);
    struct flow **all; // settings->connections of them
    unsigned opened;   // of these
};

static inline struct traffic *traffic_of(const struct flow *flow)
{
    return container_of(flow->flows, struct traffic, flows);
}

// The traffic of SETTINGS as the first member of a struct of BYTES bytes, the rest of which is
// zero. NULL without memory.
struct traffic *traffic_create(const struct settings *settings, size_t bytes);
void traffic_destroy(struct traffic *traffic); // may be NULL

// Connects as many flows as the server takes: 0 if there is one at least, else -1 with errno.
int traffic_open(struct traffic *traffic);

// Lets every flow send what may be sent at NOW, those that were paused too.
void traffic_go(struct traffic *traffic, uint64_t now);

// Begins a phase: see pace_start.
void traffic_start(struct traffic *traffic, uint64_t now, uint64_t duration, uint64_t messages);

// Places for so many messages in flight: a power of two.
uint64_t traffic_places(uint64_t messages);
