// SPDX-License-Identifier: MIT
// fault: the commands of a port that misbehaves when it is asked to.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ground/text.h"

enum fault_kind {
    FAULT_NONE, // another message
    FAULT_DELAY,
    FAULT_DRIP,
    FAULT_DROP,
    FAULT_CLOSE,
    FAULT_RESET,
    FAULT_PAUSE,
    FAULT_BYTES,
    FAULT_HELP, // which names those above too
};

struct fault {
    enum fault_kind kind;
    const char *usage; // NULL, or the argument is wrong: this is how it is used
    bool tcp_only;
    uint32_t number; // milliseconds, or bytes
    const char *text;
    size_t length; // of the text, no CR or LF at its end
};

// What MESSAGE, its terminator included if it has one, asks for.
struct fault fault_parse(const char *message, size_t length);

// Appends the commands as /help shows them, a blank before each.
void fault_help(struct text *text);

// The name of a kind that /help names, without its '/'; NULL for another.
const char *fault_name(enum fault_kind kind);
