// SPDX-License-Identifier: MIT
#include "core/gate.h"

#include <string.h>

#include "ground/util.h"

const char *token_take(struct token *token, const char *content, size_t length)
{
    if (length > 0 && content[length - 1] == '\n')
        length--;
    if (length == 0)
        return "is empty";
    if (length > TOKEN_MAX_BYTES)
        return "is longer than 1024 bytes";
    // What a client cannot send as an argument would be a token that never fits.
    if (memchr(content, '\n', length))
        return "has more than one line";
    if (memchr(" \t\v\f\r", content[0], 5) || content[length - 1] == '\r')
        return "begins or ends with white space";
    *token = (struct token){.length = length};
    memcpy(token->bytes, content, length);
    return NULL;
}

// Every byte of the room is looked at, whatever the lengths are. The volatile keeps the compiler
// from stopping at the first difference.
static bool token_equal(const struct token *token, const char *guess, size_t length)
{
    char padded[TOKEN_MAX_BYTES] = {0};
    volatile size_t difference = token->length ^ length;

    memcpy(padded, guess, size_min(length, sizeof padded));
    for (size_t i = 0; i < sizeof padded; i++)
        difference |= (unsigned char)(padded[i] ^ token->bytes[i]);
    explicit_bzero(padded, sizeof padded); // it may be the token
    return difference == 0;
}

static bool throttled(const struct gate *gate, ticks now)
{
    // The place that the next wrong guess goes to holds the fifth latest.
    return gate->wrong_count >= GUESSES_MAX &&
           now - gate->wrong[gate->wrong_count % GUESSES_MAX] <= GUESSES_SECONDS * TICKS_PER_SECOND;
}

enum gate_answer gate_knock(struct gate *gate, const char *guess, size_t length, bool loopback,
                            ticks now)
{
    if (length == 0)
        return GATE_TOKEN_REQUIRED;
    if (gate->token.length == 0)
        return GATE_TOKEN_MISSING;
    if (throttled(gate, now))
        return GATE_THROTTLED;
    if (!token_equal(&gate->token, guess, length)) {
        gate->wrong[gate->wrong_count++ % GUESSES_MAX] = now;
        return GATE_TOKEN_INVALID;
    }
    if (!loopback)
        return GATE_LOOPBACK_REQUIRED;
    gate->passed = true;
    return GATE_PASSED;
}
