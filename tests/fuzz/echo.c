// SPDX-License-Identifier: MIT
// A stream, whole and cut, against the model: the answers are the same.
#include "feed.h"
#include "fuzz.h"
#include "ground/util.h"

// The sizes of reads come from the input, too: the bytes in front of the stream, again and again.
struct cuts_by_bytes {
    struct cuts cuts;
    const uint8_t *sizes;
    size_t count, at;
};

static size_t cut_by_bytes(struct cuts *cuts, size_t left)
{
    struct cuts_by_bytes *of = container_of(cuts, struct cuts_by_bytes, cuts);

    return size_min(left, 1 + (size_t)of->sizes[of->at++ % of->count]);
}

static size_t cut_nowhere(struct cuts *cuts, size_t left)
{
    (void)cuts;
    return left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {1, 2, 3, 8, 16, 50, 300, 4096};
    struct fuzz fuzz = {data, size};
    size_t max_line = limits[fuzz_byte(&fuzz) % ARRAY_LENGTH(limits)];
    uint8_t sizes[4];

    fuzz_fill(&fuzz, sizes, sizeof sizes);
    const char *stream = (const char *)fuzz.at;
    struct facts facts = {.time = {1795226463, 5}, .now = 1000};
    struct gate gate[3] = {{.token = {.length = 3, .bytes = "tok"}}};
    address_parse("::1", &facts.peer);
    gate[1] = gate[2] = gate[0];
    struct facts facts_for[3] = {facts, facts, facts};

    struct cuts_by_bytes cut = {{cut_by_bytes}, sizes, sizeof sizes, 0};
    struct cuts whole = {cut_nowhere};
    struct terms terms[3];
    struct answers answers[3];
    for (size_t i = 0; i < ARRAY_LENGTH(terms); i++) {
        facts_for[i].gate = &gate[i];
        terms[i] = (struct terms){max_line, &facts_for[i]};
    }
    answers[0] = model_answers(stream, fuzz.left, &terms[0]);
    fuzz_must(feed_answers(stream, fuzz.left, &terms[1], &whole, &answers[1]));
    fuzz_must(feed_answers(stream, fuzz.left, &terms[2], &cut.cuts, &answers[2]));
    for (size_t i = 1; i < ARRAY_LENGTH(answers); i++) {
        fuzz_must(answers_equal(&answers[0], &answers[i]));
        fuzz_must(gate[i].passed == gate[0].passed && gate[i].wrong_count == gate[0].wrong_count);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(answers); i++)
        free(answers[i].bytes);
    return 0;
}
