// SPDX-License-Identifier: MIT
// expect: what must come back for what was sent, by the model of lines, and by a rule for each
// command whose answer depends on more than the stream.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/facts.h"
#include "fifo.h"
#include "lines.h"

// What was known when a question was read, for /stats and /time.
struct moment {
    uint64_t at;                   // when the turn began
    size_t counts;                 // so many changes of connected_tcp there had been
    uint64_t total, busy, refused; // at least
};

// A part of what must come: bytes, or one line that is told by a rule.
struct piece {
    enum command_name command; // by whose rule; COMMAND_UNKNOWN: bytes
    size_t length;             // so many of expect->bytes
    struct moment asked;
    // Of /shutdown: whether there is a token, and whether it is right.
    bool given, right;
};

// What the role faulty waits for before it goes on with the stream.
struct wait {
    bool waits;
    bool begun;                   // all that came before has been sent, and the time runs
    bool end;                     // the stream has ended in the midst of the line that asked for it
    uint64_t nanoseconds;         // that it takes
    uint64_t over_low, over_high; // when it is over; over_high is 0 as long as it is not known
    bool drips;                   // byte by byte, with a wait before each
    struct fifo text;             // that is said then
    struct fifo behind;           // has been read, and comes after that
};

struct expect {
    struct lines lines;
    struct wait wait;
    bool resets;                    // as soon as all is sent
    bool resumed;                   // a wait is over, and no turn since
    uint64_t begun_low, begun_high; // when the line's first byte was read, and that turn was over
    uint64_t begun_turn;
    struct fifo bytes;
    struct piece *piece;
    size_t first, count, room; // piece[first .. count)
    struct fifo answer;        // of the first piece, as far as it has come
};

struct flow;

#define EXPECT_NAME "box-1" // --name, where it is given

// What was read from, and sent to, FLOW, whose expectations are flow->expect.
void expect_begin(struct flow *flow);
void expect_read(struct flow *flow, const char *bytes, size_t length);
void expect_end_of_input(struct flow *flow);
// The line that has begun is not waited for any longer.
void expect_late(struct flow *flow);
void expect_text(struct flow *flow, const char *text);
void expect_sent(struct flow *flow, const char *bytes, size_t length);
// Whether FLOW has waited long enough: then it does no longer.
bool expect_pass(struct flow *flow);

// Something is still to be sent, now.
bool expect_owes(const struct expect *expect);
// Nothing is, until a time.
bool expect_waits(const struct expect *expect);
bool expect_line_begun(const struct expect *expect);
void expect_finish(struct expect *expect);

// Checks one line, its LF included, against the piece's rule; fails the universe. TOLD: what a
// header adds to /whoami beside addresses.
void expect_line(const struct piece *piece, const struct facts *facts, const char *line,
                 size_t length, const char *told);
struct moment expect_moment(void);

// Changes of connected_tcp, told by the kernel.
void expect_connected(unsigned now);
void expect_forget(void);
