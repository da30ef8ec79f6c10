// SPDX-License-Identifier: MIT
// Any content of a token file, and any guess: a file that is taken is a token that a client can
// send, nothing else passes, and no more than five wrong guesses a minute are looked at.
#include "fuzz.h"

#include "core/command.h"
#include "core/turn.h"

enum { MINUTE = GUESSES_SECONDS * TICKS_PER_SECOND };

// What a client would send: it passes.
static void must_pass(const struct token *token)
{
    char message[sizeof "/shutdown \r\n" + TOKEN_MAX_BYTES], buffer[TURN_TEXT_MAX_BYTES];
    struct text text = text_in(message, sizeof message);
    struct reply answer = {.buffer = buffer};
    struct gate gate = {.token = *token};
    struct facts facts = {.protocol = PROTOCOL_TCP, .loopback = true, .gate = &gate};

    text_string(&text, "/shutdown ");
    text_bytes(&text, token->bytes, token->length);
    text_string(&text, "\r\n");
    fuzz_must(!text.cut);
    command_answer(message, text.length, &facts, &answer);
    fuzz_must(gate.passed);
}

// Guesses: the next byte says how long after the one before, and how many bytes it has.
static void guess(struct gate *gate, struct fuzz *fuzz)
{
    ticks now = 0, wrong[GUESSES_MAX] = {0};
    unsigned wrong_count = 0;

    while (fuzz->left > 0) {
        uint8_t kind = fuzz_byte(fuzz);
        size_t length = kind % 16 < fuzz->left ? kind % 16 : fuzz->left;
        const char *bytes = (const char *)fuzz->at;
        bool right = length == gate->token.length && memcmp(bytes, gate->token.bytes, length) == 0;

        now += kind / 16 * 8;
        bool closed =
            wrong_count >= GUESSES_MAX && now - wrong[wrong_count % GUESSES_MAX] <= MINUTE;
        enum gate_answer answer = gate_knock(gate, bytes, length, true, now);
        if (length == 0)
            fuzz_must(answer == GATE_TOKEN_REQUIRED);
        else if (closed)
            fuzz_must(answer == GATE_THROTTLED);
        else
            fuzz_must(answer == (right ? GATE_PASSED : GATE_TOKEN_INVALID));
        if (answer == GATE_TOKEN_INVALID)
            wrong[wrong_count++ % GUESSES_MAX] = now;
        fuzz->at += length;
        fuzz->left -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {data, size};
    size_t length = fuzz_byte(&fuzz) + 256 * (size_t)(fuzz_byte(&fuzz) % 5);
    struct gate gate = {.passed = false};

    if (length > fuzz.left)
        length = fuzz.left;
    char *content = malloc(length + 1);
    if (!content)
        abort();
    memcpy(content, fuzz.at, length);
    const char *problem = token_take(&gate.token, content, length);
    fuzz_must(problem ? gate.token.length == 0 : gate.token.length > 0);
    free(content);
    if (problem)
        return 0;
    must_pass(&gate.token);
    fuzz.at += length;
    fuzz.left -= length;
    guess(&gate, &fuzz);
    return 0;
}
