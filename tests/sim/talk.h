// SPDX-License-Identifier: MIT
// talk: what a client says: lines of every length, commands, floods, rubbish.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "fifo.h"

enum talk_kind {
    TALK_LINES,
    TALK_COMMANDS,
    TALK_FLOOD,
    TALK_LONG,
    TALK_TRICKLE,
    TALK_ENDLESS,
    TALK_SILENT
};

struct talk {
    enum talk_kind kind;
    size_t line_max, budget; // bytes; 0: it has said all
    const char *text;        // only that; or NULL
    bool unterminated;       // at the end
};

void talk_begin(struct talk *talk, size_t line_max);

// Adds the next message to OUT.
void talk_next(struct talk *talk, struct fifo *out);

// A command, mostly a real one.
const char *talk_command(void);
