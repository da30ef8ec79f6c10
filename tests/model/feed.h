// SPDX-License-Identifier: MIT
// feed: what is answered to a whole stream by the model of lines, and by the role echo when a
// connection feeds it the stream in pieces. For the unit test and the fuzz target of the role.
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/command.h"
#include "ground/util.h"
#include "lines.h"
#include "roles/role.h"

// All that was answered to a stream.
struct answers {
    char *bytes;
    size_t length, room;
    bool closed; // ended by a second overlong line
};

static inline void *feed_alloc(size_t size)
{
    void *block = malloc(size > 0 ? size : 1);

    if (!block)
        abort();
    return block;
}

static inline void answers_add(struct answers *answers, const char *bytes, size_t length)
{
    while (answers->room < answers->length + length) {
        answers->room = 2 * answers->room + 256;
        answers->bytes = realloc(answers->bytes, answers->room);
        if (!answers->bytes)
            abort();
    }
    if (length > 0)
        memcpy(answers->bytes + answers->length, bytes, length);
    answers->length += length;
}

static inline bool answers_equal(const struct answers *a, const struct answers *b)
{
    return a->closed == b->closed && a->length == b->length &&
           (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

// On what answers depend beside the stream.
struct terms {
    size_t max_line;
    const struct facts *facts;
};

static inline void answers_take(struct answers *answers, const struct lines *lines,
                                enum asked asked, const struct terms *terms)
{
    char room[TURN_TEXT_MAX_BYTES];
    struct reply text = {.buffer = room};

    switch (asked) {
    case ASKED_NOTHING:
        return;
    case ASKED_ECHO:
        answers_add(answers, lines->line, lines->length);
        return;
    case ASKED_TOO_LONG:
        answers_add(answers, LINES_TOO_LONG, strlen(LINES_TOO_LONG));
        return;
    case ASKED_COMMAND:
        // The module has tests of its own; which names there are is known to the model too.
        command_answer(lines->line, lines->length, terms->facts, &text);
        if ((lines_command(lines->line, lines->length).name == COMMAND_UNKNOWN) !=
            (text.length == strlen(LINES_UNKNOWN) &&
             memcmp(text.bytes, LINES_UNKNOWN, text.length) == 0))
            abort();
        answers_add(answers, text.bytes, text.length);
    }
}

// What is to be answered to the whole STREAM.
static inline struct answers model_answers(const char *stream, size_t length,
                                           const struct terms *terms)
{
    struct answers answers = {.bytes = NULL};
    struct lines lines = {.max_line = terms->max_line, .line = feed_alloc(terms->max_line + 1)};

    for (size_t at = 0; at < length; at++)
        answers_take(&answers, &lines, lines_read(&lines, stream[at]), terms);
    answers_take(&answers, &lines, lines_end(&lines), terms);
    answers.closed = lines.closing;
    free(lines.line);
    return answers;
}

// How a stream is cut: the sizes of reads, again and again.
struct cuts {
    const size_t *sizes;
    size_t count;
};

// A connection, as conn.c is one.
struct feed {
    struct memory memory;
    const struct terms *terms;
    struct answers answers;
    enum outcome outcome; // of the latest turn
    bool wrong;           // a bound was broken
};

// What holds after any turn.
static inline bool turn_sound(const struct turn *turn)
{
    const struct reply *reply = &turn->reply;
    bool in_place =
        reply->length == 0 || reply->bytes == reply->buffer ||
        (reply->bytes >= turn->input && reply->bytes + reply->length <= turn->input + turn->done);

    return in_place && turn->done <= turn->length &&
           (turn->begun <= turn->done || turn->begun == NOTHING_BEGUN) &&
           reply->texts <= TURN_TEXTS_MAX &&
           reply->length <= turn->done + reply->texts * TURN_TEXT_MAX_BYTES;
}

// SIZE bytes at the end of a block that is used again and again: a byte too far is out of it.
static inline char *feed_buffer(size_t size)
{
    static char *block;
    static size_t room;

    if (room < size) {
        free(block);
        block = feed_alloc(size);
        room = size;
    }
    return block + (room - size);
}

// One turn with LENGTH bytes, copied to a block of the exact size: AddressSanitizer sees a byte too
// far. Returns how many are done.
static inline size_t feed_turn(struct feed *feed, const char *bytes, size_t length, bool ended)
{
    size_t room = length + (size_t)TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES;
    char *exact = feed_alloc(length);
    struct turn turn = {.input = exact,
                        .length = length,
                        .ended = ended,
                        .max_line = feed->terms->max_line,
                        .reply.buffer = feed_buffer(room)};

    memcpy(exact, bytes, length);
    while ((feed->outcome = role_echo.stream(&feed->memory, &turn)) == TURN_FACTS) {
        feed->wrong |= !turn_sound(&turn) || turn.facts;
        turn.facts = feed->terms->facts;
    }
    answers_add(&feed->answers, turn.reply.bytes, turn.reply.length);
    feed->wrong |= !turn_sound(&turn) || (feed->outcome == TURN_AGAIN && turn.done == 0);
    // What has begun and not ended is what is not done, or the rest of an overlong line.
    if (feed->outcome == TURN_MORE)
        feed->wrong |=
            (turn.begun != NOTHING_BEGUN) != (turn.done < turn.length || feed->memory.discarding);
    free(exact);
    return turn.done;
}

// The STREAM in reads as CUTS has them. Returns false if a bound was broken on the way.
static inline bool feed_answers(const char *stream, size_t length, const struct terms *terms,
                                const struct cuts *cuts, struct answers *answers)
{
    struct feed feed = {.terms = terms};
    size_t reads = 0, read = 0, done = 0, got;

    do {
        got = size_min(length - read, cuts->sizes[reads++ % cuts->count]);
        read += got;
        do
            done += feed_turn(&feed, stream + done, read - done, got == 0);
        while (feed.outcome == TURN_AGAIN);
        // Whatever is held is within the bounds of a line, and nothing is after the end.
        size_t held = read - done;
        if (feed.outcome != TURN_CLOSE && held > 0)
            feed.wrong |= held > terms->max_line || got == 0 ||
                          !role_echo.pends(stream + done, held, 0, terms->max_line);
    } while (got > 0 && feed.outcome != TURN_CLOSE);
    feed.answers.closed = feed.outcome == TURN_CLOSE;
    *answers = feed.answers;
    return !feed.wrong;
}
