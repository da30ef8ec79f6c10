// SPDX-License-Identifier: MIT
// feed: what is answered to a whole stream by the model of lines, and by the roles echo and faulty
// when a connection feeds them the stream in pieces. For the unit test and the fuzz targets of
// these roles.
#pragma once

#include <stdbool.h>
#include <stdio.h>
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
    bool closed; // ended by a second overlong line, or on demand
    bool reset;
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
    return a->closed == b->closed && a->reset == b->reset && a->length == b->length &&
           (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

// That nothing goes on before so many MILLISECONDS are over, as if that were an answer.
static inline void answers_wait(struct answers *answers, uint64_t milliseconds)
{
    char wait[40];

    answers_add(answers, wait,
                (size_t)snprintf(wait, sizeof wait, "<%llu ms>", (unsigned long long)milliseconds));
}

// On what answers depend beside the stream.
struct terms {
    size_t max_line;
    const struct facts *facts;
    bool faulty; // the role is faulty, else echo
};

#define FEED_FAULTS " /delay MS TEXT /drip MS TEXT /drop TEXT /close /reset /pause MS /bytes N\n"

enum { FEED_BYTES_MAX = 1 << 18 }; // that /bytes makes; a test leaves out what asks for more

static inline void answers_drip(struct answers *answers, const struct wish *wish)
{
    for (size_t i = 0; i <= wish->length; i++) {
        answers_wait(answers, wish->number);
        answers_add(answers, i < wish->length ? wish->text + i : "\n", 1);
    }
}

// Whether WISH is one, which is granted.
static inline bool answers_grant(struct answers *answers, struct lines *lines,
                                 const struct wish *wish)
{
    if (wish->kind == WISH_DELAY || wish->kind == WISH_PAUSE)
        answers_wait(answers, wish->number);
    if (wish->kind == WISH_DELAY)
        answers_add(answers, wish->text, wish->length);
    if (wish->kind == WISH_DRIP)
        answers_drip(answers, wish);
    if (wish->kind == WISH_USAGE)
        answers_add(answers, wish->usage, strlen(wish->usage));
    for (uint64_t left = wish->kind == WISH_BYTES ? wish->number : 0; left > 1; left--)
        answers_add(answers, "x", 1);
    if (wish->kind == WISH_DELAY || wish->kind == WISH_BYTES)
        answers_add(answers, "\n", 1);
    answers->reset |= wish->kind == WISH_RESET;
    lines->closing |= wish->kind == WISH_CLOSE || wish->kind == WISH_RESET;
    return wish->kind != WISH_NONE;
}

static inline void answers_take(struct answers *answers, struct lines *lines, enum asked asked,
                                const struct terms *terms)
{
    char room[TURN_TEXT_MAX_BYTES];
    struct reply text = {.buffer = room};
    struct wish wish = {.kind = WISH_NONE};

    if (asked == ASKED_COMMAND && terms->faulty)
        wish = lines_wish(lines->line, lines->length);
    if (answers_grant(answers, lines, &wish))
        return;
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
        if (terms->faulty && lines_command(lines->line, lines->length).name == COMMAND_HELP) {
            answers->length--; // the LF
            answers_add(answers, FEED_FAULTS, strlen(FEED_FAULTS));
        }
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
static inline bool turn_sound(const struct turn *turn, bool faulty)
{
    size_t made = faulty ? TURN_TEXTS_MAX : turn->reply.texts; // /bytes makes more than a text
    const struct reply *reply = &turn->reply;
    bool in_place =
        reply->length == 0 || reply->bytes == reply->buffer ||
        (reply->bytes >= turn->input && reply->bytes + reply->length <= turn->input + turn->done);

    return in_place && turn->done <= turn->length &&
           (turn->begun <= turn->done || turn->begun == NOTHING_BEGUN) &&
           reply->texts <= TURN_TEXTS_MAX &&
           reply->length <= turn->done + made * TURN_TEXT_MAX_BYTES;
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
    bool faulty = feed->terms->faulty;
    const struct role *role = faulty ? &role_faulty : &role_echo;

    memcpy(exact, bytes, length);
    while ((feed->outcome = role->stream(&feed->memory, &turn)) == TURN_FACTS) {
        feed->wrong |= !turn_sound(&turn, faulty) || turn.facts;
        turn.facts = feed->terms->facts;
    }
    answers_add(&feed->answers, turn.reply.bytes, turn.reply.length);
    feed->wrong |= !turn_sound(&turn, faulty) ||
                   (feed->outcome == TURN_AGAIN && turn.done == 0 && turn.reply.length == 0);
    if (feed->outcome == TURN_WAIT)
        answers_wait(&feed->answers, turn.wait_ms);
    // What has begun and not ended is what is not done, or the rest of an overlong line.
    if (feed->outcome == TURN_MORE)
        feed->wrong |=
            (turn.begun != NOTHING_BEGUN) != (turn.done < turn.length || feed->memory.discarding);
    free(exact);
    return turn.done;
}

static inline bool feed_goes_on(const struct feed *feed)
{
    return feed->outcome == TURN_AGAIN || feed->outcome == TURN_WAIT;
}

// The STREAM in reads as CUTS has them. Returns false if a bound was broken on the way. A further
// turn is not told that the stream has ended: who asks again is told.
static inline bool feed_answers(const char *stream, size_t length, const struct terms *terms,
                                const struct cuts *cuts, struct answers *answers)
{
    struct feed feed = {.terms = terms};
    size_t reads = 0, read = 0, done = 0, got;
    const struct role *role = terms->faulty ? &role_faulty : &role_echo;
    bool ended, again;

    do {
        got = size_min(length - read, cuts->sizes[reads++ % cuts->count]);
        read += got;
        done += feed_turn(&feed, stream + done, read - done, got == 0);
        again = feed_goes_on(&feed);
        while (feed_goes_on(&feed))
            done += feed_turn(&feed, stream + done, read - done, false);
        ended = feed.outcome == TURN_CLOSE || feed.outcome == TURN_RESET;
        // Whatever is held is within the bounds of a line, and nothing is after the end.
        size_t held = read - done;
        if (!ended && held > 0)
            feed.wrong |= held > terms->max_line || (got == 0 && !again) ||
                          !role->pends(stream + done, held, 0, terms->max_line);
    } while ((got > 0 || again) && !ended);
    feed.answers.closed = ended;
    feed.answers.reset = feed.outcome == TURN_RESET;
    *answers = feed.answers;
    return !feed.wrong;
}
