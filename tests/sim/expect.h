// SPDX-License-Identifier: MIT
// expect: what the contract says must come back for what was sent. Written from the contract and
// not from the daemon: byte by byte, with no thought of speed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fifo.h"

enum piece_kind {
    PIECE_BYTES,
    PIECE_STATS,
    PIECE_TIME,
    PIECE_WHOAMI,
    PIECE_HELP,
    PIECE_SHUTDOWN,
};

// A part of what must come: bytes, or one line that is told by a rule.
struct piece {
    enum piece_kind kind;
    size_t length;        // PIECE_BYTES: so many of expect->bytes
    uint64_t asked;       // when the turn began in which the question was read
    size_t counts_before; // and how many changes of connected_tcp there had been
    uint64_t total, busy;
    // PIECE_SHUTDOWN: whether there is a token, whether it is right, and where it comes from.
    bool given, right, loopback;
};

struct expect {
    size_t line_max;
    bool loopback;
    struct fifo line;               // begun, not ended
    bool discarding;                // the rest of an overlong line
    unsigned overlong;              // lines in a row
    bool closing;                   // after the second, nothing is answered any more
    uint64_t begun_low, begun_high; // when the line's first byte was read
    struct fifo bytes;
    struct piece *piece;
    size_t first, count, room; // piece[first .. count)
    struct fifo answer;        // of the first piece, as far as it has come
};

struct flow;

// What was read from, and sent to, FLOW, whose expectations are flow->expect.
void expect_read(struct flow *flow, const char *bytes, size_t length);
void expect_end_of_input(struct flow *flow);
void expect_text(struct flow *flow, const char *text);
void expect_sent(struct flow *flow, const char *bytes, size_t length);

// Something is still to be sent.
bool expect_owes(const struct expect *expect);
bool expect_line_begun(const struct expect *expect);
void expect_finish(struct expect *expect);

// The answer to a command: a text to be compared, or NULL with the rule in *KIND and the argument
// of /shutdown from BYTES + *ARGUMENT on.
const char *expect_command(const char *bytes, size_t length, enum piece_kind *kind,
                           size_t *argument);

// Checks one line, its LF included, against the rule; fails the universe.
void expect_line(const struct piece *piece, const char *line, size_t length, const char *whoami,
                 const char *who);

// Changes of connected_tcp, told by the kernel.
void expect_connected(unsigned now);
void expect_forget(void);
size_t expect_counts(void);
