// SPDX-License-Identifier: MIT
// held: what only a connection needs that is in the midst of something: an unfinished message,
// unsent output, and what its role remembers. Most connections have none, most of the time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/delays.h"
#include "core/state.h"
#include "core/timeouts.h"
#include "core/turn.h"
#include "transport/pool.h"

struct conn;

// In this order, and with lengths of 32 bits, it has no gaps: 10,000 connections may wait for a
// time.
struct held {
    struct conn *conn;
    struct timeout line; // runs while a message that has begun is waited for
    struct delay delay;  // while the connection waits for a time
    char *header;        // the PROXY header, if it has announced anything; else NULL
    char *bytes;
    uint32_t header_length;
    uint32_t room;         // of `bytes`
    uint32_t sent, output; // bytes[sent .. output) is unsent
    uint32_t input;        // and as many bytes from `output` on are not done
    uint32_t wait_ms;      // with TURN_WAIT
    enum outcome outcome;  // of the latest turn
    struct memory memory;
};

// HELD, or what a connection without it has instead.
const struct held *held_of(const struct held *held);

// Those that take GIVEN_BACK add to *GIVEN_BACK the bytes of a buffer that they free or make
// smaller.

// Makes *HELD, which may be NULL, have room for SIZE bytes; the first SIZE bytes that it holds are
// kept. With malloc's word, the room is the next power of two, or stays as it was if that is up to
// four times as much.
// False without memory.
bool held_reserve(struct held **held, struct conn *conn, size_t *given_back, size_t size);

// Adds LENGTH further BYTES of input to what *HELD, which has no output, keeps. False without
// memory.
bool held_append(struct held **held, struct conn *conn, size_t *given_back, const char *bytes,
                 size_t length);

// Keeps in *HELD what TURN leaves behind: what it has not sent of its reply, and what is not done
// of its input, but with an outcome that ends nothing of the input. *HELD becomes NULL if that is
// nothing, unless there is a header, or the role remembers something for a further turn. False
// without memory.
bool held_keep(struct held **held, struct conn *conn, size_t *given_back,
               const struct memory *memory, const struct turn *turn, enum outcome outcome);

// Keeps in *HELD, which may be NULL, a copy of the PROXY header. False without memory.
bool held_keep_header(struct held **held, struct conn *conn, const char *header, size_t length);

// Makes *HELD, which is NULL, what a connection of STATE holds. False without memory.
bool held_resume(struct held **held, struct conn *conn, const struct state_connection *state);

// Has HELD, which may be NULL, stand in pool->line while the message that has begun in TURN is
// waited for.
void held_time(struct held *held, const struct turn *turn, struct pool *pool);

// Frees *HELD, which may be NULL, and makes it NULL.
void held_drop(struct held **held, size_t *given_back);
