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
    struct text text = text_in(room, sizeof room);

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

// A connection, as conn.c is one: what it holds between turns.
struct feed {
    struct memory memory;
    const struct terms *terms;
    struct answers answers;
    char *held; // an unfinished line
    size_t held_length;
    bool wrong; // a bound was broken
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

// One turn with BYTES, a block of the exact size: AddressSanitizer sees a byte too far. *LENGTH
// becomes what is not done of them.
static inline enum outcome feed_turn(struct feed *feed, char **bytes, size_t *length, bool ended)
{
    size_t room = *length + (size_t)TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES;
    struct turn turn = {.input = *bytes,
                        .length = *length,
                        .ended = ended,
                        .max_line = feed->terms->max_line,
                        .reply.buffer = feed_buffer(room)};
    enum outcome outcome;

    while ((outcome = role_echo.stream(&feed->memory, &turn)) == TURN_FACTS) {
        feed->wrong |= !turn_sound(&turn) || turn.facts;
        turn.facts = feed->terms->facts;
    }
    answers_add(&feed->answers, turn.reply.bytes, turn.reply.length);
    feed->wrong |= !turn_sound(&turn) || (outcome == TURN_AGAIN && turn.done == 0);
    // What has begun and not ended is what is not done, or the rest of an overlong line.
    if (outcome == TURN_MORE)
        feed->wrong |=
            (turn.begun != NOTHING_BEGUN) != (turn.done < turn.length || feed->memory.discarding);
    *length -= turn.done;
    char *rest = feed_alloc(*length);
    memcpy(rest, *bytes + turn.done, *length);
    free(*bytes);
    *bytes = rest;
    return outcome;
}

// Turns until what was held and the GOT bytes after it are dealt with.
static inline void feed_read(struct feed *feed, const char *fresh, size_t got)
{
    enum outcome outcome = TURN_AGAIN;
    size_t length = feed->held_length + got;
    char *bytes = feed_alloc(length);

    if (feed->held_length > 0)
        memcpy(bytes, feed->held, feed->held_length);
    if (got > 0)
        memcpy(bytes + feed->held_length, fresh, got);
    free(feed->held);
    while (outcome == TURN_AGAIN)
        outcome = feed_turn(feed, &bytes, &length, got == 0);
    feed->held = bytes;
    feed->held_length = length;
    feed->answers.closed = outcome == TURN_CLOSE;
    // Whatever is held is within the bounds of a line, and nothing is after the end.
    if (!feed->answers.closed)
        feed->wrong |= length > feed->terms->max_line || (got == 0 && length > 0) ||
                       (length > 0 && !role_echo.pends(bytes, length, 0, feed->terms->max_line));
}

// The STREAM in reads as CUTS has them. Returns false if a bound was broken on the way.
static inline bool feed_answers(const char *stream, size_t length, const struct terms *terms,
                                const struct cuts *cuts, struct answers *answers)
{
    struct feed feed = {.terms = terms};
    size_t reads = 0;

    while (length > 0 && !feed.answers.closed) {
        size_t got = size_min(length, cuts->sizes[reads++ % cuts->count]);

        feed_read(&feed, stream, got);
        stream += got;
        length -= got;
    }
    if (!feed.answers.closed)
        feed_read(&feed, NULL, 0);
    free(feed.held);
    *answers = feed.answers;
    return !feed.wrong;
}
