// SPDX-License-Identifier: MIT
// A stream, whole and cut, against the model: the answers are the same.
#include "feed.h"
#include "fuzz.h"
#include "ground/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {1, 2, 3, 8, 16, 50, 300, 4096};
    struct fuzz fuzz = {data, size};
    size_t max_line = limits[fuzz_byte(&fuzz) % ARRAY_LENGTH(limits)];
    size_t sizes[4]; // of reads, from the input, too

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        sizes[i] = 1 + (size_t)fuzz_byte(&fuzz);
    const char *stream = (const char *)fuzz.at;
    struct facts facts = {.loopback = true, .time = {1795226463, 5}, .now = 1000};
    struct gate gate[3] = {{.token = {.length = 3, .bytes = "tok"}}};
    address_parse("::1", &facts.peer);
    gate[1] = gate[2] = gate[0];
    struct facts facts_for[3] = {facts, facts, facts};

    struct cuts cut = {sizes, ARRAY_LENGTH(sizes)}, whole = {&(size_t){SIZE_MAX}, 1};
    struct terms terms[3];
    struct answers answers[3];
    for (size_t i = 0; i < ARRAY_LENGTH(terms); i++) {
        facts_for[i].gate = &gate[i];
        terms[i] = (struct terms){.max_line = max_line, .facts = &facts_for[i]};
    }
    answers[0] = model_answers(stream, fuzz.left, &terms[0]);
    fuzz_must(feed_answers(stream, fuzz.left, &terms[1], &whole, &answers[1]));
    fuzz_must(feed_answers(stream, fuzz.left, &terms[2], &cut, &answers[2]));
    for (size_t i = 1; i < ARRAY_LENGTH(answers); i++) {
        fuzz_must(answers_equal(&answers[0], &answers[i]));
        fuzz_must(gate[i].passed == gate[0].passed && gate[i].wrong_count == gate[0].wrong_count);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++)
        free(answers[i].bytes);
    return 0;
}
