// SPDX-License-Identifier: MIT
#include "transport/held.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 64, MALLOC_WORD = sizeof(size_t), HELD_BYTES = offsetof(struct held, bytes) };

_Static_assert(HELD_BYTES + MALLOC_WORD <= 48 || sizeof(size_t) < 8,
               "with its place among the delays, a connection that waits costs 56 bytes more than "
               "an idle one, and its line");
// A header, a reply, and what is left of the input.
_Static_assert(HELD_BYTES + KEPT_MAX_BYTES + 2 * (READ_MAX_BYTES + MAX_LINE_LIMIT) +
                       TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES <
                   INT32_MAX / 2,
               "lengths have 32 bits, and the steps of a block 8");
_Static_assert(KEPT_MAX_BYTES <= UINT16_MAX, "a header's length has 16 bits");

const struct held held_nothing = {.outcome = TURN_MORE};

// Four steps double a block, malloc's word included: what grows byte by byte is seldom copied, and
// little is left over.
static size_t block_of(unsigned step)
{
    return (size_t)(4 + step % 4) * (BLOCK_MIN / 4) << step / 4;
}

size_t held_room(const struct held *held)
{
    return block_of(held->size) - MALLOC_WORD - HELD_BYTES;
}

bool held_reserve(struct held **held, size_t *given_back, size_t size)
{
    struct held *own = *held;
    size_t needed = MALLOC_WORD + HELD_BYTES + held_of(own)->header + size;
    unsigned step = 0;

    while (block_of(step) < needed)
        step++;
    if (own && own->size >= step && block_of(own->size) / 2 <= block_of(step) &&
        (size > 0 || own->size == step))
        return true;
    own = realloc(own, block_of(step) - MALLOC_WORD);
    if (!own)
        return false;
    if (!*held)
        *own = (struct held){.outcome = TURN_MORE};
    else if (step < own->size)
        *given_back += block_of(own->size);
    own->size = (uint8_t)step;
    *held = own;
    return true;
}

bool held_append(struct held **held, size_t *given_back, const char *bytes, size_t length)
{
    size_t before = (*held)->input;

    if (!held_reserve(held, given_back, before + length))
        return false;
    memcpy(held_input(*held) + before, bytes, length);
    (*held)->input += (uint32_t)length;
    return true;
}

// Whether nothing is to be remembered for a further turn.
static bool empty(const struct held *held, const struct memory *memory)
{
    return memory_empty(memory) && held_of(held)->header == 0;
}

static void fill(struct held *held, const char *output, size_t output_length, const char *input,
                 size_t input_length)
{
    held->sent = 0;
    held->output = (uint32_t)output_length;
    held->input = (uint32_t)input_length;
    if (output_length > 0)
        memcpy(held_output(held), output, output_length);
    if (input_length > 0)
        memcpy(held_input(held), input, input_length);
}

bool held_keep(struct held **held, size_t *given_back, struct memory memory,
               const struct turn *turn, enum outcome outcome)
{
    size_t output = turn->reply.length;
    bool ends = outcome == TURN_CLOSE || outcome == TURN_RESET;
    size_t input = ends ? 0 : turn->length - turn->done;

    if (output + input == 0 && (ends || empty(*held, &memory))) {
        held_drop(held, given_back);
        return true;
    }
    if (!held_reserve(held, given_back, output + input))
        return false;
    (*held)->memory = memory;
    (*held)->outcome = outcome & 0xff;
    (*held)->wait_ms = turn->wait_ms;
    fill(*held, turn->reply.bytes, output, turn->input + turn->done, input);
    return true;
}

bool held_keep_header(struct held **held, size_t *given_back, const char *header, size_t length)
{
    if (!held_reserve(held, given_back, length))
        return false;
    memcpy((*held)->bytes, header, length);
    (*held)->header = (uint16_t)length;
    fill(*held, NULL, 0, NULL, 0);
    return true;
}

bool held_resume(struct held **held, const struct state_connection *state)
{
    size_t output = state->output_length, input = state->input_length, none = 0;

    if (output + input + state->header_length == 0 && memory_empty(&state->memory) &&
        state->outcome == TURN_MORE)
        return true;
    if (state->header_length > 0 &&
        !held_keep_header(held, &none, state->header, state->header_length))
        return false;
    if (!held_reserve(held, &none, output + input))
        return false;
    (*held)->memory = state->memory;
    (*held)->outcome = state->outcome & 0xff;
    (*held)->wait_ms = state->wait_ms;
    fill(*held, state->output, output, state->input, input);
    return true;
}

bool held_begin(struct held *held, struct conn *conn, struct pool *pool)
{
    if (!held->begun) {
        held->begun = malloc(sizeof *held->begun);
        if (!held->begun)
            return false;
        held->begun->conn = conn;
        timeout_init(&held->begun->line);
    }
    timeouts_start(&pool->line, &held->begun->line, loop_now(pool->loop));
    return true;
}

static void end(struct held *held)
{
    if (!held->begun)
        return;
    timeout_stop(&held->begun->line);
    free(held->begun);
    held->begun = NULL;
}

bool held_time(struct held *held, struct conn *conn, const struct turn *turn, struct pool *pool)
{
    if (!held)
        return true;
    // Who is owed something is not waited for.
    if (held->output > 0 || held->outcome != TURN_MORE || turn->begun == NOTHING_BEGUN) {
        end(held);
        return true;
    }
    // At the begin of the input, it is the message of before.
    return (held->begun && turn->begun == 0) || held_begin(held, conn, pool);
}

void held_drop(struct held **held, size_t *given_back)
{
    if (!*held)
        return;
    *given_back += block_of((*held)->size);
    end(*held);
    free(*held);
    *held = NULL;
}
