// SPDX-License-Identifier: MIT
// facts: what an answer may tell beyond the bytes that asked for it, all from one instant.
#pragma once

#include <stdbool.h>
#include <stddef.h>
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
    uint64_t proxy_refused;    // connections without a right PROXY header where one has to be
    uint64_t udp_answered;
    uint64_t udp_dropped; // datagrams that got no answer: a guard's, a limit's, or no way out
};

struct facts {
    enum protocol protocol;
    struct address peer, local;  // as a PROXY header has announced them, if one has
    struct address via;          // the proxy, on a port for such; else without a port
    bool loopback;               // the peer is a process of this host, as far as anybody knows
    const char *authority, *tls; // printable texts of the header, not terminated by a NUL
    size_t authority_length, tls_length; // 0: it has told none
    const char *name;                    // --name, or NULL
    struct timespec time;                // of day
    ticks now;
    struct counters counters;
    struct gate *gate; // the one thing that an answer may change
};
