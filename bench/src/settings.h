// SPDX-License-Identifier: MIT
// settings: echo-bench's command line, made into values.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "expect.h"
#include "ground/text.h"

enum {
    SIZE_MAX_BYTES = 1 << 20,
    DATAGRAM_MAX_BYTES = 65507,
    DEPTH_MAX = 1 << 16,
    HOST_MAX_BYTES = 256,
    REQUEST_MAX_BYTES = 4096,
};

struct settings {
    bool help, version;
    bool tcp, udp, churn, verify, json;
    bool gso;       // datagrams in trains
    bool unicode;   // what is printed for people may have more than ASCII; main sets these two
    const char *us; // microseconds
    unsigned connections, depth, idle;
    unsigned rate;                  // messages a second in the open loop; 0: closed loop
    uint64_t messages;              // 0: as many as go in `duration`
    unsigned size;                  // bytes of a request
    unsigned reply_size;            // bytes
    uint64_t duration;              // nanoseconds; 0: until there were `messages`
    uint64_t warmup, rest, timeout; // nanoseconds
    uint64_t interval;              // nanoseconds, of the timeline
    bool turns;                     // the parts of the measurement are begun from outside
    bool lines;                     // a line for each interval
    unsigned repeat;                // runs
    struct expect expect;
    pid_t pid;        // 0: none
    const char *hgrm; // points into argv, or NULL
    bool has_request; // --request; otherwise a payload is sent
    char request[REQUEST_MAX_BYTES];
    char host[HOST_MAX_BYTES]; // without brackets
    const char *port;          // these two point into argv
    const char *server;
};

// Reads the command line. False for wrong usage: then ERROR names what is wrong, in one line.
bool settings_parse(struct settings *settings, int argc, char *argv[], struct text *error);

// What --help prints: every option, its meaning and its default.
void settings_help(struct text *help);
