// SPDX-License-Identifier: MIT
// answer: the commands, and what is answered to them. TCP and UDP share it.
//
// A message that does not begin with '/' is its own answer, and no business of this module.
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/address.h"
#include "core/gate.h"
#include "core/timeouts.h"
#include "ground/text.h"

// Every answer fits, its LF included.
enum { ANSWER_MAX_BYTES = 256 };

#define ANSWER_LINE_TOO_LONG "ERR too-long-line\n"
#define ANSWER_DATAGRAM_TRUNCATED "ERR datagram-truncated\n"
#define ANSWER_BUSY "Server Busy\n"

// What /stats tells, counted since the start unless it says otherwise.
struct counters {
    uint64_t total_clients;    // TCP connections admitted, and UDP peers seen
    uint32_t active_udp_peers; // in the last 60 seconds
    uint32_t connected_tcp;    // admitted and open now
    uint64_t busy_tcp;         // connections told "Server Busy"
    uint64_t udp_answered;
    uint64_t udp_dropped; // datagrams that got no answer: a guard's, a limit's, or no way out
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP };

// All that answers may tell, from one instant.
struct facts {
    bool known; // false: nothing below is filled in yet
    enum protocol protocol;
    struct address peer, local;
    struct timespec time; // of day
    ticks now;
    struct counters counters;
};

// "tcp" or "udp".
const char *protocol_name(enum protocol protocol);

static inline bool answer_is_command(const char *message, size_t length)
{
    return length > 0 && message[0] == '/';
}

// Appends one line that answers MESSAGE, which is a command (answer_is_command). A right /shutdown
// leaves gate->passed set.
void answer_command(const char *message, size_t length, const struct facts *facts,
                    struct gate *gate, struct text *answer);

#endif
