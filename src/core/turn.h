// SPDX-License-Identifier: MIT
// turn: the bytes that a role is shown at once, and what it makes of them. A role sees nothing
// else: no descriptor, no clock, no loop.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/facts.h"
#include "ground/text.h"

enum {
    TURN_TEXT_MAX_BYTES = 1024, // a text that is answered fits, its LF included
    TURN_TEXTS_MAX = 256,       // texts in one turn of a stream; in one of a datagram there is one
    TURN_TOLD_MAX = 8,
    TURN_TEXT_COST_BYTES = 256, // as much work as these: making a text, however short it is
};

// What a role remembers of a connection from turn to turn, beside the input that is not done. All
// zero at the start. A role that has others to remember adds them here, and to memory_empty.
struct memory {
    bool discarding;      // the rest of an overlong line
    bool overlong_before; // the line before was overlong
    // faulty's:
    bool waited;      // for what the next line asks to wait for
    bool paused;      // after a line that asked for that
    uint32_t dripped; // bytes of the next line's text that have gone out
    uint32_t left;    // bytes that /bytes is still owed
};

static inline bool memory_empty(const struct memory *memory)
{
    return !memory->discarding && !memory->overlong_before && !memory->waited && !memory->paused &&
           memory->dripped == 0 && memory->left == 0;
}

// The answers of a turn. As long as they are nothing but echoes of input that stands side by side,
// they are not copied: `bytes` then points into the input. All zero but `buffer` at the start.
//
// The buffer is the caller's. A stream's has room for the turn's input and TURN_TEXTS_MAX texts of
// TURN_TEXT_MAX_BYTES. A datagram's has room for one text, or for the datagram and a byte.
struct reply {
    const char *bytes;
    size_t length;
    char *buffer;
    unsigned texts;
    uint16_t asked[COUNTED_COMMANDS_MAX]; // how often each command was, by its place
    // Texts that are the same all through the turn, by number: where they stand in the buffer. None
    // is empty but one that has not been told yet.
    struct {
        uint32_t at, length;
    } told[TURN_TOLD_MAX];
};

#define NOTHING_BEGUN SIZE_MAX

struct turn {
    const char *input; // what was not done in the turn before, and what was read after it
    size_t length;
    bool ended;                // nothing follows: a datagram, or the client has sent FIN
    size_t max_line;           // bytes; 0 for a datagram
    const struct facts *facts; // NULL until a role has asked for them

    // Results.
    size_t done;          // bytes of the input that are dealt with
    size_t begun;         // where the message begins that has begun and not ended, or NOTHING_BEGUN
    uint32_t wait_ms;     // with TURN_WAIT
    uint32_t messages;    // that have ended in this turn
    enum closing closing; // with TURN_CLOSE: why
    struct reply reply;
};

enum outcome {
    // Every whole message is answered. What is not done, at most max_line bytes of it, is shown
    // again, with more; or dropped, if the turn has ended.
    TURN_MORE,
    TURN_AGAIN,  // the turn is used up: what is not done, however much, gets another, without more
    TURN_WAIT,   // the same, wait_ms after the reply has gone out; a datagram's reply waits itself
    TURN_FACTS,  // turn->facts is NULL, and the next answer needs them: fill in, call again
    TURN_CLOSE,  // nothing more is answered: the connection ends after this reply
    TURN_RESET,  // as TURN_CLOSE, by a reset as soon as the kernel has taken the reply
    TURN_SILENT, // a datagram's alone: it gets no answer
};

// Whether a stream's turn leaves no more behind than OUTCOME lets it.
bool turn_within_bounds(const struct turn *turn, enum outcome outcome);

// Appends bytes of the input to the reply. What is not in the buffer yet stands right before BYTES:
// a role leaves nothing out between two echoes without a text for it.
void reply_echo(struct reply *reply, const char *bytes, size_t length);

// Where the next text is written: its length goes to reply_add.
struct text reply_text(struct reply *reply);
void reply_add(struct reply *reply, const struct text *text);
