// SPDX-License-Identifier: MIT
// gate: who may end the server by /shutdown.
//
// The token is compared in a time that does not depend on it, and depends on nothing of the guess
// but its length. After five wrong guesses within a minute, from anywhere, further ones are refused
// without being looked at.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/timeouts.h"

enum { TOKEN_MAX_BYTES = 1024, GUESSES_MAX = 5, GUESSES_SECONDS = 60 };

struct token {
    size_t length; // 0: none is configured
    char bytes[TOKEN_MAX_BYTES];
};

struct gate {
    struct token token;
    ticks wrong[GUESSES_MAX]; // when the latest wrong guesses were made, as a ring
    unsigned wrong_count;     // of all wrong guesses; the next goes to this place of the ring
    bool passed;              // the server has been asked to end
};

enum gate_answer {
    GATE_PASSED,
    GATE_TOKEN_REQUIRED,
    GATE_TOKEN_MISSING,
    GATE_THROTTLED,
    GATE_TOKEN_INVALID,
    GATE_LOOPBACK_REQUIRED,
};

// Takes the CONTENT of a token file, less one newline at its end. NULL if it can be a token, else
// what is wrong with it.
const char *token_take(struct token *token, const char *content, size_t length);

// GUESS is what follows the command's name, blanks in front of it skipped.
enum gate_answer gate_knock(struct gate *gate, const char *guess, size_t length, bool loopback,
                            ticks now);
