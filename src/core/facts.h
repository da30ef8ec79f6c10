// SPDX-License-Identifier: MIT
// facts: what an answer may tell beyond the bytes that asked for it, all from one instant.
#pragma once

#include <stdint.h>
#include <time.h>

#include "core/address.h"
#include "core/gate.h"
#include "core/timeouts.h"

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP };

// "tcp" or "udp".
static inline const char *protocol_name(enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? "tcp" : "udp";
}

// Counted since the start unless it says otherwise.
struct counters {
    uint64_t total_clients;    // TCP connections admitted, and UDP peers seen
    uint32_t active_udp_peers; // in the last 60 seconds
    uint32_t connected_tcp;    // admitted and open now
    uint64_t busy_tcp;         // connections told "Server Busy"
    uint64_t udp_answered;
    uint64_t udp_dropped; // datagrams that got no answer: a guard's, a limit's, or no way out
};

struct facts {
    enum protocol protocol;
    struct address peer, local;
    struct timespec time; // of day
    ticks now;
    struct counters counters;
    struct gate *gate; // the one thing that an answer may change
};
