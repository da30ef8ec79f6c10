// SPDX-License-Identifier: MIT
// constant: shows under valgrind that no branch and no address depends on the token for /shutdown.
//
//     valgrind build/attacks/constant          the daemon's comparison: no error
//     valgrind build/attacks/constant memcmp   memcmp(3) in its place: an error
//     valgrind build/attacks/constant length   one that looks at the length first: an error
//
// The token is marked as undefined, as if it had never been written, and memcheck reports each
// branch that hangs on something undefined. Whether a guess was right is not a secret: that answer
// is marked as defined again, and in gate_knock, which branches on it, it is the one error that a
// guess may cause. Prints how many guesses were made, and exits with 1 if there was an error.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "core/gate.c" // NOLINT(bugprone-suspicious-include): for its comparison, as it is compiled there

enum { TOKEN_BYTES = 32, STEP = 64, SPACING = (GUESSES_SECONDS + 1) * TICKS_PER_SECOND };

static const char secret[TOKEN_BYTES + 1] = "0123456789abcdefABCDEF!#$%&()*+,";

typedef bool compare(const struct token *token, const char *guess, size_t length);

static bool by_memcmp(const struct token *token, const char *guess, size_t length)
{
    return memcmp(token->bytes, guess, length) == 0;
}

static bool by_length(const struct token *token, const char *guess, size_t length)
{
    return token->length == length && token_equal(token, guess, length);
}

static void hide(struct token *token)
{
    VALGRIND_MAKE_MEM_UNDEFINED(token->bytes, sizeof token->bytes);
    VALGRIND_MAKE_MEM_UNDEFINED(&token->length, sizeof token->length);
}

static void reveal(struct token *token)
{
    VALGRIND_MAKE_MEM_DEFINED(token->bytes, sizeof token->bytes);
    VALGRIND_MAKE_MEM_DEFINED(&token->length, sizeof token->length);
}

struct trial {
    struct token token;
    compare *equal;
    unsigned long guesses, wrongly; // answers that are not true
};

static void guess(struct trial *trial, const char *text, size_t length)
{
    hide(&trial->token);
    bool equal = trial->equal(&trial->token, text, length);
    VALGRIND_MAKE_MEM_DEFINED(&equal, sizeof equal);
    reveal(&trial->token);
    bool right = length == TOKEN_BYTES && memcmp(text, secret, length) == 0;
    trial->guesses++;
    trial->wrongly += equal != right;
}

// Guesses that differ at each position, in each way; and in length, up to a whole line's.
static void guess_all(struct trial *trial)
{
    char text[4 * TOKEN_MAX_BYTES] = {0};

    memcpy(text, secret, TOKEN_BYTES);
    for (size_t length = 1; length <= sizeof text; length += length < STEP ? 1 : STEP)
        guess(trial, text, length);
    for (size_t at = 0; at < TOKEN_BYTES; at++) {
        for (int value = 0; value < 256; value++) {
            text[at] = (char)value;
            guess(trial, text, TOKEN_BYTES);
        }
        text[at] = secret[at];
    }
}

// The errors that guesses at the gate itself cause beyond the one for each: its answer. Whether a
// token is configured is no secret, so that here its length is not.
static unsigned long knock_all(struct gate *gate)
{
    char text[TOKEN_BYTES];
    unsigned before = VALGRIND_COUNT_ERRORS, knocks = 0;
    ticks now = 0;

    for (size_t at = 0; at < TOKEN_BYTES; at++) {
        memcpy(text, secret, sizeof text);
        text[at]++;
        VALGRIND_MAKE_MEM_UNDEFINED(gate->token.bytes, sizeof gate->token.bytes);
        enum gate_answer answer = gate_knock(gate, text, sizeof text, true, now += SPACING);
        knocks += answer == GATE_TOKEN_INVALID;
    }
    reveal(&gate->token);
    return VALGRIND_COUNT_ERRORS - before - knocks;
}

int main(int argc, char *argv[])
{
    struct trial trial = {.equal = token_equal};
    struct gate gate = {.passed = false};

    if (argc > 1)
        trial.equal = strcmp(argv[1], "memcmp") == 0 ? by_memcmp : by_length;
    if (RUNNING_ON_VALGRIND == 0) {
        fputs("constant: to be run under valgrind\n", stderr);
        return 2;
    }
    token_take(&trial.token, secret, TOKEN_BYTES);
    gate.token = trial.token;
    guess_all(&trial);
    unsigned errors = VALGRIND_COUNT_ERRORS;
    unsigned long more = argc > 1 ? 0 : knock_all(&gate);
    printf("guesses=%lu wrongly=%lu errors=%u more=%lu\n", trial.guesses, trial.wrongly, errors,
           more);
    return errors + more + trial.wrongly > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
