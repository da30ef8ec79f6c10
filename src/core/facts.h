// SPDX-License-Identifier: MIT
// facts: what an answer may tell beyond the bytes that asked for it, all from one instant.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/address.h"
#include "core/counters.h"
#include "core/gate.h"
#include "core/timeouts.h"

// What the process takes up. What cannot be known is 0.
struct usage {
    uint64_t cpu_nanoseconds;
    uint64_t start_milliseconds; // since 1970
    uint64_t resident_bytes;
    uint64_t descriptors, max_descriptors;
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
    uint64_t uptime_seconds;
    unsigned max_tcp;
    bool draining;      // the end has been asked for
    struct usage usage; // for roles that observe
    struct gate *gate;  // the one thing that an answer may change
};
