// SPDX-License-Identifier: MIT
// command: the commands, and what is answered to them. TCP and UDP share it.
//
// A message that does not begin with '/' is its own answer, and no business of this module.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/turn.h"

static inline bool is_command(const char *message, size_t length)
{
    return length > 0 && message[0] == '/';
}

// Appends the commands as /help shows them.
void command_help(struct text *text);

// The name of the command in the place NUMBER of the table, from 0 on, without its '/'; NULL: there
// is none.
const char *command_name(size_t number);

// Appends to REPLY one line, LF included, that answers MESSAGE, which is_command. A right /shutdown
// leaves facts->gate->passed set.
void command_answer(const char *message, size_t length, const struct facts *facts,
                    struct reply *reply);
