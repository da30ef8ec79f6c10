// SPDX-License-Identifier: MIT
// A stream for the role faulty, whole and cut, against the model: the answers and the waits between
// them are the same, and so is its end. The same bytes as a datagram, against the model too.
#include "feed.h"
#include "fuzz.h"
#include "ground/util.h"

// Whether a line of the STREAM asks for more bytes than a test makes.
static bool asks_too_much(const char *stream, size_t length)
{
    for (const char *end = stream + length, *line = stream, *newline; line < end;
         line = newline + 1) {
        newline = memchr(line, '\n', (size_t)(end - line));
        struct wish wish = lines_wish(line, (size_t)((newline ? newline : end) - line));

        if (wish.kind == WISH_BYTES && wish.number > FEED_BYTES_MAX)
            return true;
        if (!newline)
            break;
    }
    return false;
}

static void must_be_granted(const struct turn *turn, enum outcome outcome, const struct wish *wish)
{
    const struct reply *reply = &turn->reply;
    const char *text = wish->tcp_only ? "ERR tcp-only\n" : wish->usage;

    if (wish->tcp_only || wish->kind == WISH_USAGE) {
        fuzz_must(outcome == TURN_MORE && reply->length == strlen(text));
        fuzz_must(memcmp(reply->bytes, text, reply->length) == 0);
    } else if (wish->kind == WISH_DROP) {
        fuzz_must(outcome == TURN_SILENT);
    } else {
        fuzz_must(outcome == TURN_WAIT && turn->wait_ms == wish->number);
        fuzz_must(reply->length == wish->length + 1 && reply->bytes[wish->length] == '\n');
        fuzz_must(memcmp(reply->bytes, wish->text, wish->length) == 0);
    }
}

static void must_answer_datagram(const char *bytes, size_t length, const struct facts *facts)
{
    char *exact = feed_alloc(length);
    char *room = feed_alloc(length < TURN_TEXT_MAX_BYTES ? TURN_TEXT_MAX_BYTES : length + 1);
    struct turn turn = {
        .input = exact, .length = length, .ended = true, .facts = facts, .reply.buffer = room};
    struct wish wish = lines_wish(bytes, length);

    memcpy(exact, bytes, length);
    enum outcome outcome = role_faulty.datagram(&turn);
    fuzz_must(turn.done == length);
    if (wish.kind != WISH_NONE)
        must_be_granted(&turn, outcome, &wish);
    else
        fuzz_must(outcome == TURN_MORE);
    free(exact);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {1, 2, 3, 8, 16, 50, 300, 4096};
    struct fuzz fuzz = {data, size};
    size_t max_line = limits[fuzz_byte(&fuzz) % ARRAY_LENGTH(limits)];
    size_t sizes[4]; // of reads, from the input, too

    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        sizes[i] = 1 + (size_t)fuzz_byte(&fuzz);
    const char *stream = (const char *)fuzz.at;
    struct gate gate = {.passed = false}; // without a token, which echo's target has
    struct facts facts = {.time = {1795226463, 5}, .now = 1000, .gate = &gate};
    struct terms terms = {.max_line = max_line, .facts = &facts, .faulty = true};
    struct cuts cut = {sizes, ARRAY_LENGTH(sizes)}, whole = {&(size_t){SIZE_MAX}, 1};
    struct answers model, given[2];

    if (asks_too_much(stream, fuzz.left))
        return 0;
    model = model_answers(stream, fuzz.left, &terms);
    fuzz_must(feed_answers(stream, fuzz.left, &terms, &whole, &given[0]));
    fuzz_must(feed_answers(stream, fuzz.left, &terms, &cut, &given[1]));
    for (size_t i = 0; i < ARRAY_LENGTH(given); i++) {
        fuzz_must(answers_equal(&model, &given[i]));
        free(given[i].bytes);
    }
    free(model.bytes);
    must_answer_datagram(stream, fuzz.left, &facts);
    return 0;
}
