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
    TURN_TEXT_MAX_BYTES = 256, // a text that is answered fits, its LF included
    // Texts in one turn: its reply is at most TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES longer than its
    // input.
    TURN_TEXTS_MAX = 256,
    TURN_TOLD_MAX = 16,
};

// What a role remembers of a connection from turn to turn, beside the input that is not done. All
// zero at the start.
struct memory {
    bool discarding;      // the rest of an overlong line
    bool overlong_before; // the line before was overlong
};

static inline bool memory_empty(const struct memory *memory)
{
    return !memory->discarding && !memory->overlong_before;
}

// The answers of a turn. As long as they are nothing but echoes of input that stands side by side,
// they are not copied: `bytes` then points into the input. All zero but `buffer` at the start.
struct reply {
    const char *bytes;
    size_t length;
    char *buffer; // the caller's; as large as TURN_TEXTS_MAX says
    unsigned texts;
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
    bool ended;                // nothing follows: the client has sent FIN
    size_t max_line;           // bytes
    const struct facts *facts; // NULL until a role has asked for them

    // Results.
    size_t done;  // bytes of the input that are dealt with
    size_t begun; // where the message begins that has begun and not ended, or NOTHING_BEGUN
    struct reply reply;
};

enum outcome {
    TURN_MORE,  // every whole message is answered; what is not done is shown again, with more
    TURN_AGAIN, // the turn is used up: what is not done gets another one, without more
    TURN_FACTS, // turn->facts is NULL, and the next answer needs them: fill in, call again
    TURN_CLOSE, // nothing more is answered: the connection ends after this reply
};

// Appends bytes of the input to the reply. What is not in the buffer yet stands right before BYTES:
// a role leaves nothing out between two echoes without a text for it.
void reply_echo(struct reply *reply, const char *bytes, size_t length);

// Where the next text is written: its length goes to reply_add.
struct text reply_text(struct reply *reply);
void reply_add(struct reply *reply, const struct text *text);
