// SPDX-License-Identifier: MIT
// counters: what has happened since the start, as /stats and /metrics tell it.
#pragma once

#include <stdint.h>

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOLS };

// "tcp" or "udp".
static inline const char *protocol_name(enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? "tcp" : "udp";
}

// Why an admitted connection has ended, by what decided it.
enum closing {
    CLOSED_EOF,   // the client's end, or the role's
    CLOSED_IDLE,  // --idle-timeout
    CLOSED_LINE,  // --line-timeout
    CLOSED_RESET, // lost: reset, vanished, or given up for want of memory
    CLOSED_LONG,  // two overlong lines in a row
    CLOSED_DRAIN, // the graceful end
    CLOSED_PROXY, // no right PROXY header
    CLOSINGS,
};

// Why a datagram got no answer.
enum drop {
    DROP_PORT,       // its source is a service's port, or this server's own
    DROP_MULTICAST,  // from or to no single host's address
    DROP_HOP_LIMIT,  // its answer would have none left
    DROP_ERROR_TEXT, // it is an error message itself
    DROP_RATE,       // a limit for longer answers, or for rounds of a loop
    DROP_SEND,       // the answer could not be sent
    DROP_KERNEL,     // its socket's buffer had no room, or its checksum was wrong
    DROPS,
    DROP_NONE = DROPS, // it has an answer
    DROP_SILENT,       // its role has none for it
};

// Places of the commands that are counted: those of every port, faults, and one for all others.
enum { COUNTED_FAULTS = 8, COUNTED_UNKNOWN = 15, COUNTED_COMMANDS_MAX };

struct counters {
    uint64_t total_clients;    // TCP connections admitted, and UDP peers seen
    uint32_t active_udp_peers; // in the last 60 seconds
    uint32_t connected_tcp;    // admitted and open now
    uint64_t accepted_tcp;     // admitted
    uint64_t busy_tcp;         // told "Server Busy"
    uint64_t proxy_refused;    // without a right PROXY header where one has to be
    uint64_t closed_tcp[CLOSINGS];
    uint64_t messages[PROTOCOLS];                  // lines and datagrams that came
    uint64_t received[PROTOCOLS], sent[PROTOCOLS]; // bytes
    uint64_t udp_answered;
    uint64_t udp_dropped[DROPS];
    uint64_t commands[COUNTED_COMMANDS_MAX]; // by their place
    uint64_t wakeups;                        // of the loop
    uint64_t log_suppressed;                 // events that the log left out
};

// Adds how often each command was ASKED for, by their place in the table.
static inline void counters_add_commands(struct counters *counters,
                                         const uint16_t asked[COUNTED_COMMANDS_MAX])
{
    for (int i = 0; i < COUNTED_COMMANDS_MAX; i++)
        counters->commands[i] += asked[i];
}

// The datagrams that the process has taken and not answered.
static inline uint64_t counters_dropped(const struct counters *counters)
{
    uint64_t dropped = 0;

    for (int i = 0; i < DROP_KERNEL; i++)
        dropped += counters->udp_dropped[i];
    return dropped;
}
