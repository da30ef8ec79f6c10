// SPDX-License-Identifier: MIT
// Any command from anybody, about any facts: one line of answer that fits, and the server is not
// asked to end but by the right token, over TCP, from a loopback address.
#include "fuzz.h"

#include "core/command.h"
#include "core/turn.h"

static struct facts facts_from(struct fuzz *fuzz)
{
    struct facts facts = {.gate = NULL};

    unsigned byte = fuzz_byte(fuzz);
    facts.protocol = byte & 1 ? PROTOCOL_UDP : PROTOCOL_TCP;
    facts.loopback = byte & 2;
    facts.draining = byte & 4;
    fuzz_fill(fuzz, &facts.peer, sizeof facts.peer);
    fuzz_fill(fuzz, &facts.local, sizeof facts.local);
    fuzz_fill(fuzz, &facts.time.tv_sec, sizeof facts.time.tv_sec);
    fuzz_fill(fuzz, &facts.time.tv_nsec, 3);
    fuzz_fill(fuzz, &facts.counters, sizeof facts.counters);
    return facts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char right[] = "/shutdown token";
    struct fuzz fuzz = {data, size};
    struct facts facts = facts_from(&fuzz);
    struct gate gate = {.token = {.length = 5, .bytes = "token"}};
    char buffer[TURN_TEXT_MAX_BYTES];
    struct reply answer = {.buffer = buffer};
    char *message = malloc(fuzz.left + 1); // a byte too far is seen at its end

    if (!message)
        abort();
    message[0] = '/';
    memcpy(message + 1, fuzz.at, fuzz.left);
    facts.gate = &gate;
    command_answer(message, fuzz.left + 1, &facts, &answer);
    fuzz_must(answer.length > 0);
    fuzz_must(memchr(buffer, '\n', answer.length) == buffer + answer.length - 1);
    for (size_t i = 0; i + 1 < answer.length; i++)
        fuzz_must(buffer[i] >= ' ' && buffer[i] <= '~');
    if (gate.passed) {
        fuzz_must(facts.protocol == PROTOCOL_TCP && facts.loopback);
        fuzz_must(fuzz.left + 1 >= sizeof right - 1 && memcmp(message, right, 9) == 0);
    }
    free(message);
    return 0;
}
