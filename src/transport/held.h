// SPDX-License-Identifier: MIT
// held: what only a connection needs that is in the midst of something: an unfinished message,
// unsent output, and what its role remembers. Most connections have none, most of the time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state.h"
#include "core/timeouts.h"
#include "core/turn.h"
#include "transport/pool.h"

struct conn;

// What a connection has whose message has begun and not ended, for as long as it is waited for.
struct begun {
    struct timeout line; // in pool->line
    struct conn *conn;
};

// One block with its bytes, for 10,000 connections may wait for a time: 40 bytes, what is to be
// sent or done, and malloc's word. Nothing but its connection points at it: it moves as it grows.
struct held {
    struct begun *begun; // owned; NULL: none
    struct memory memory;
    uint32_t sent, output; // of the output, and all of it: what was not sent yet lies between
    uint32_t input;        // that is not done
    uint32_t wait_ms;      // with TURN_WAIT
    uint16_t header;       // bytes of the PROXY header, if it has announced anything; else 0
    uint8_t outcome;       // an enum outcome: of the latest turn
    uint8_t size;          // of the block, as a step: see held.c
    char bytes[];          // the header, the output, the input
};

// What a connection has that holds nothing.
extern const struct held held_nothing;

static inline const struct held *held_of(const struct held *held)
{
    return held ? held : &held_nothing;
}

// Its output, and the input behind that.
static inline char *held_output(struct held *held)
{
    return held->bytes + held->header;
}

static inline char *held_input(struct held *held)
{
    return held_output(held) + held->output;
}

// How many bytes it has room for, the header among them.
size_t held_room(const struct held *held);

// Those that take GIVEN_BACK add to *GIVEN_BACK the bytes of a block that they free or make
// smaller.

// Makes *HELD, which may be NULL, have room for SIZE bytes beside the header; the first SIZE bytes
// that it holds are kept. A block stays as it was if that is up to twice as large as it has to be,
// but for one that holds nothing beside the header, perhaps for as long as the connection lasts.
// False without memory, and then *HELD is as it was.
bool held_reserve(struct held **held, size_t *given_back, size_t size);

// Adds LENGTH further BYTES of input to what *HELD, which has no output, keeps. False without
// memory.
bool held_append(struct held **held, size_t *given_back, const char *bytes, size_t length);

// Keeps in *HELD what TURN leaves behind: what it has not sent of its reply, and what is not done
// of its input, but with an outcome that ends nothing of the input. *HELD becomes NULL if that is
// nothing, unless there is a header, or the role remembers something for a further turn. False
// without memory.
bool held_keep(struct held **held, size_t *given_back, struct memory memory,
               const struct turn *turn, enum outcome outcome);

// Keeps in *HELD, which may be NULL, a copy of the PROXY header, and no output or input. False
// without memory.
bool held_keep_header(struct held **held, size_t *given_back, const char *header, size_t length);

// Makes *HELD, which is NULL, what a connection of STATE holds. False without memory.
bool held_resume(struct held **held, const struct state_connection *state);

// Has HELD stand in pool->line, as CONN's, if it does not yet, or anew. False without memory.
bool held_begin(struct held *held, struct conn *conn, struct pool *pool);

// Has HELD, which may be NULL, stand in pool->line, as CONN's, while the message that has begun in
// TURN is waited for. False without memory.
bool held_time(struct held *held, struct conn *conn, const struct turn *turn, struct pool *pool);

// Frees *HELD, which may be NULL, and makes it NULL.
void held_drop(struct held **held, size_t *given_back);
