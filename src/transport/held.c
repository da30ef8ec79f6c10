// SPDX-License-Identifier: MIT
#include "transport/held.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_BLOCK_MIN = 32, MALLOC_WORD = sizeof(size_t) };

// A reply and what is left of the input.
_Static_assert(2 * (READ_MAX_BYTES + MAX_LINE_LIMIT) + TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES <
                   INT32_MAX / 2,
               "lengths, and a room that is doubled, have 32 bits");

const struct held *held_of(const struct held *held)
{
    static const struct held none = {.outcome = TURN_MORE};

    return held ? held : &none;
}

static struct held *create(struct conn *conn)
{
    struct held *held = malloc(sizeof *held);

    if (!held)
        return NULL;
    *held = (struct held){.conn = conn};
    timeout_init(&held->line);
    return held;
}

bool held_reserve(struct held **held, struct conn *conn, size_t *given_back, size_t size)
{
    struct held *own = *held ? *held : create(conn);
    size_t block = HELD_BLOCK_MIN;

    *held = own;
    if (!own)
        return false;
    while (block - MALLOC_WORD < size)
        block *= 2;
    size_t room = block - MALLOC_WORD;
    if (own->room >= room && (own->room + MALLOC_WORD) / 4 <= block)
        return true;
    char *bytes = realloc(own->bytes, room);
    if (!bytes)
        return false;
    if (room < own->room)
        *given_back += own->room;
    own->bytes = bytes;
    own->room = (uint32_t)room;
    return true;
}

bool held_append(struct held **held, struct conn *conn, size_t *given_back, const char *bytes,
                 size_t length)
{
    size_t before = (*held)->input;

    if (!held_reserve(held, conn, given_back, before + length))
        return false;
    memcpy((*held)->bytes + before, bytes, length);
    (*held)->input += (uint32_t)length;
    return true;
}

// Whether nothing is to be remembered for a further turn.
static bool empty(const struct held *held, const struct memory *memory)
{
    return memory_empty(memory) && !held_of(held)->header;
}

bool held_keep(struct held **held, struct conn *conn, size_t *given_back,
               const struct memory *memory, const struct turn *turn, enum outcome outcome)
{
    size_t output = turn->reply.length;
    bool ends = outcome == TURN_CLOSE || outcome == TURN_RESET;
    size_t input = ends ? 0 : turn->length - turn->done;

    if (output + input == 0 && (ends || empty(*held, memory))) {
        held_drop(held, given_back);
        return true;
    }
    if (!held_reserve(held, conn, given_back, output + input))
        return false;
    (*held)->memory = *memory;
    (*held)->outcome = outcome;
    (*held)->wait_ms = turn->wait_ms;
    (*held)->sent = 0;
    (*held)->output = (uint32_t)output;
    (*held)->input = (uint32_t)input;
    if (output > 0)
        memcpy((*held)->bytes, turn->reply.bytes, output);
    if (input > 0)
        memcpy((*held)->bytes + output, turn->input + turn->done, input);
    return true;
}

bool held_keep_header(struct held **held, struct conn *conn, const char *header, size_t length)
{
    struct held *own = *held ? *held : create(conn);

    *held = own;
    char *copy = own ? malloc(length) : NULL;
    if (!copy)
        return false;
    memcpy(copy, header, length);
    own->header = copy;
    own->header_length = (uint32_t)length;
    return true;
}

bool held_resume(struct held **held, struct conn *conn, const struct state_connection *state)
{
    size_t output = state->output_length, input = state->input_length, none = 0;

    if (output + input + state->header_length == 0 && memory_empty(&state->memory) &&
        state->outcome == TURN_MORE)
        return true;
    if (state->header_length > 0 &&
        !held_keep_header(held, conn, state->header, state->header_length))
        return false;
    if (!held_reserve(held, conn, &none, output + input))
        return false;
    struct held *own = *held;
    own->memory = state->memory;
    own->outcome = state->outcome;
    own->wait_ms = state->wait_ms;
    own->output = state->output_length;
    own->input = state->input_length;
    if (output > 0)
        memcpy(own->bytes, state->output, output);
    if (input > 0)
        memcpy(own->bytes + output, state->input, input);
    return true;
}

void held_time(struct held *held, const struct turn *turn, struct pool *pool)
{
    if (!held)
        return;
    // Who is owed something is not waited for.
    if (held->output > 0 || held->outcome != TURN_MORE || turn->begun == NOTHING_BEGUN)
        timeout_stop(&held->line);
    else if (!timeout_running(&held->line) || turn->begun > 0) // not the message of before
        timeouts_start(&pool->line, &held->line, loop_now(pool->loop));
}

void held_drop(struct held **held, size_t *given_back)
{
    if (!*held)
        return;
    *given_back += (*held)->room;
    timeout_stop(&(*held)->line);
    free((*held)->bytes);
    free((*held)->header);
    free(*held);
    *held = NULL;
}
