// SPDX-License-Identifier: MIT
// service: what all ports share: the counters, the peers, the gate, and how far the end has come.
#pragma once

#include "core/facts.h"
#include "core/guard.h"
#include "core/peers.h"

enum phase {
    PHASE_READY,
    PHASE_LEAVING, // the end has been asked for, and everybody is served as before
    PHASE_DRAIN,   // the graceful end: nobody is accepted, what is owed is sent
    PHASE_OVER,    // the end at once
};

struct service {
    enum phase phase;
    struct counters counters; // but active_udp_peers: see service_counters
    struct peers peers;
    struct guard_ports ports;
    struct gate *gate;
    const char *name; // --name, or NULL
};

// The counters at NOW.
struct counters service_counters(struct service *service, ticks now);

// The facts for one asker at one instant: NOW on the monotonic clock, TIME of day.
struct facts service_facts(struct service *service, enum protocol protocol,
                           const struct address *peer, const struct address *local, ticks now,
                           struct timespec time);
