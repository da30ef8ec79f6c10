// SPDX-License-Identifier: MIT
// held: what only a connection needs that is in the midst of something: an unfinished message,
// unsent output, and what its role remembers. Most connections have none, most of the time.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/timeouts.h"
#include "core/turn.h"

struct conn;

struct held {
    struct conn *conn;
    struct timeout line; // runs while a message that has begun is waited for
    struct memory memory;
    enum outcome outcome; // of the latest turn
    size_t room;          // of `bytes`
    size_t sent, output;  // bytes[sent .. output) is unsent
    size_t input;         // and as many bytes from `output` on are not done
    char *bytes;
};

// HELD, or what a connection without it has instead.
const struct held *held_of(const struct held *held);

// These three add to *GIVEN_BACK the bytes of a buffer that they free or make smaller.

// Makes *HELD, which may be NULL, have room for SIZE bytes; the first SIZE bytes that it holds are
// kept. The room is the next power of two, or stays as it was if that is up to four times as much.
// False without memory.
bool held_reserve(struct held **held, struct conn *conn, size_t *given_back, size_t size);

// Keeps in *HELD what TURN leaves behind: what it has not sent of its reply, and what is not done
// of its input, but with TURN_CLOSE nothing of the input. *HELD becomes NULL if that is nothing,
// unless the role remembers something for a further turn. False without memory.
bool held_keep(struct held **held, struct conn *conn, size_t *given_back,
               const struct memory *memory, const struct turn *turn, enum outcome outcome);

// Frees *HELD, which may be NULL, and makes it NULL.
void held_drop(struct held **held, size_t *given_back);
