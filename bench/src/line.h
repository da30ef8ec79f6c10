// SPDX-License-Identifier: MIT
// line: one TCP connection's messages as streams of bytes: what is owed to the server, and what the
// bytes that come back answer. No system calls.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "traffic.h"

// Answers come in order: messages that were begun together need but one place.
struct together {
    uint64_t since; // their latency counts from here
    uint64_t count; // of those that are not answered yet
};

struct line {
    struct flow flow;
    uint64_t out;               // bytes that were sent
    bool fresh;                 // no byte has come by this connection
    size_t in;                  // bytes of a reply that have come, if not all have
    char *reply;                // these bytes, or some of them: all to compare, or some to show
    uint64_t first, end;        // the places in use, first & mask and so on
    uint64_t mask;              // a power of two, less one
    struct together messages[]; // and the reply's bytes after them: what a message needs lies side
                                // by side, for on a machine that forgets its page tables after each
                                // system call every page that is touched costs
};

// Bytes of a line for TRAFFIC, and what has to be set up in them.
size_t line_bytes(const struct traffic *traffic);
void line_init(struct line *line);

// Another connection, on which the next message is the first.
void line_renew(struct line *line);

// Begins as many messages as may be sent at NOW, and returns their number.
uint64_t line_begin(struct line *line, uint64_t now);

// Bytes that were begun and not sent.
uint64_t line_owed(const struct line *line);

// LENGTH bytes came at NOW.
void line_take(struct line *line, const char *bytes, size_t length, uint64_t now);

// Counts all messages in flight as lost.
void line_give_up(struct line *line);

// The connection is over, because of ERROR; 0: the server has closed it. Where each message has its
// own, LINE goes on with the next one.
void line_fail(struct line *line, int error);
