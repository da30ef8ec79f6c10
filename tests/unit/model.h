// SPDX-License-Identifier: MIT
// model: what should be answered to a stream, told slowly and plainly, and how a connection feeds
// a stream to the module that answers it. For the unit test and the fuzz target of stream.
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/stream.h"

// All that was answered to a stream.
struct answers {
    char *bytes;
    size_t length, room;
    bool closed; // ended by a second overlong line
};

static inline void *model_alloc(size_t size)
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
    struct gate *gate;
};

static inline void model_line(struct answers *answers, const char *line, size_t length,
                              const struct terms *terms)
{
    char room[ANSWER_MAX_BYTES];
    struct text text = text_in(room, sizeof room);

    if (line[0] == '/') {
        answer_command(line, length, terms->facts, terms->gate, &text);
        answers_add(answers, text.bytes, text.length);
    } else {
        answers_add(answers, line, length);
    }
}

// The whole STREAM, byte by byte, as the contract has it.
static inline struct answers model_answers(const char *stream, size_t length,
                                           const struct terms *terms)
{
    struct answers answers = {.bytes = NULL};
    size_t begun = 0; // where the line begins
    bool overlong = false, before = false;

    for (size_t at = 0; at < length; at++) {
        if (stream[at] == '\n') {
            if (!overlong)
                model_line(&answers, stream + begun, at + 1 - begun, terms);
            before = overlong;
            overlong = false;
            begun = at + 1;
        } else if (!overlong && at - begun == terms->max_line) {
            answers_add(&answers, ANSWER_LINE_TOO_LONG, strlen(ANSWER_LINE_TOO_LONG));
            answers.closed = before;
            if (answers.closed)
                return answers;
            overlong = true;
        }
    }
    if (begun < length && !overlong)
        model_line(&answers, stream + begun, length - begun, terms);
    return answers;
}

// How a stream is cut: the size of the next read, from 1 to LEFT.
struct cuts {
    size_t (*next)(struct cuts *cuts, size_t left);
};

// A connection, as conn.c is one: what it holds between turns.
struct feed {
    struct stream stream;
    const struct terms *terms;
    struct answers answers;
    char *held; // an unfinished line
    size_t held_length;
    bool wrong; // a bound was broken
};

// What holds after any call of stream_answer.
static inline bool reply_sound(const struct input *input, const struct reply *reply)
{
    bool in_place = reply->length == 0 || reply->bytes == reply->buffer ||
                    (reply->bytes >= input->bytes &&
                     reply->bytes + reply->length <= input->bytes + input->done);

    return in_place && input->done <= input->length && reply->answers <= STREAM_ANSWERS_MAX &&
           reply->length <= input->done + reply->answers * ANSWER_MAX_BYTES;
}

// SIZE bytes at the end of a block that is used again and again: a byte too far is out of it.
static inline char *model_buffer(size_t size)
{
    static char *block;
    static size_t room;

    if (room < size) {
        free(block);
        block = model_alloc(size);
        room = size;
    }
    return block + (room - size);
}

// One turn with INPUT, a block of the exact size: AddressSanitizer sees a byte too far.
static inline enum stream_status feed_turn(struct feed *feed, struct input *input)
{
    size_t room = input->length + (size_t)STREAM_ANSWERS_MAX * ANSWER_MAX_BYTES;
    struct reply reply = {.buffer = model_buffer(room)};
    struct facts unknown = {.known = false};
    const struct facts *facts = &unknown;
    enum stream_status status;

    for (;;) {
        status = stream_answer(&feed->stream, feed->terms->max_line, input, facts,
                               feed->terms->gate, &reply);
        feed->wrong |= !reply_sound(input, &reply);
        if (status != STREAM_FACTS)
            break;
        feed->wrong |= facts == feed->terms->facts;
        facts = feed->terms->facts;
    }
    answers_add(&feed->answers, reply.bytes, reply.length);
    return status;
}

// Turns until what was held and the GOT bytes after it are dealt with.
static inline void feed_read(struct feed *feed, const char *fresh, size_t got)
{
    enum stream_status status = STREAM_PAUSE;
    char *bytes = model_alloc(feed->held_length + got);
    struct input input = {.length = feed->held_length + got, .ended = got == 0};

    if (feed->held_length > 0)
        memcpy(bytes, feed->held, feed->held_length);
    if (got > 0)
        memcpy(bytes + feed->held_length, fresh, got);
    free(feed->held);
    while (status == STREAM_PAUSE) {
        input.bytes = bytes;
        input.done = 0;
        status = feed_turn(feed, &input);
        char *rest = model_alloc(input.length - input.done);
        memcpy(rest, bytes + input.done, input.length - input.done);
        input.length -= input.done;
        feed->wrong |= status == STREAM_PAUSE && input.done == 0;
        free(bytes);
        bytes = rest;
    }
    feed->held = bytes;
    feed->held_length = input.length;
    feed->answers.closed = status == STREAM_CLOSE;
    // Whatever is held is within the bounds of a line, and nothing is after the end.
    if (!feed->answers.closed)
        feed->wrong |= feed->held_length > feed->terms->max_line ||
                       (got == 0 && feed->held_length > 0) ||
                       (feed->held_length > 0 && memchr(feed->held, '\n', feed->held_length));
}

// The STREAM in reads as CUTS has them. Returns false if a bound was broken on the way.
static inline bool feed_answers(const char *stream, size_t length, const struct terms *terms,
                                struct cuts *cuts, struct answers *answers)
{
    struct feed feed = {.terms = terms};

    while (length > 0 && !feed.answers.closed) {
        size_t got = cuts->next(cuts, length);

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

#endif
