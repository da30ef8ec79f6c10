// SPDX-License-Identifier: MIT
#include "core/stream.h"

#include <string.h>

#include "ground/util.h"

static void reply_copy(struct reply *reply)
{
    if (reply->bytes == reply->buffer)
        return;
    if (reply->length > 0)
        memcpy(reply->buffer, reply->bytes, reply->length);
    reply->bytes = reply->buffer;
}

// What is not in the buffer yet stands right before BYTES: nothing was left out in between, for
// what is dropped of an overlong line follows its answer.
static void reply_echo(struct reply *reply, const char *bytes, size_t length)
{
    if (reply->length == 0)
        reply->bytes = bytes;
    else if (reply->bytes == reply->buffer)
        memcpy(reply->buffer + reply->length, bytes, length);
    reply->length += length;
}

// Where the next answer is written that is not an echo.
static struct text reply_text(struct reply *reply)
{
    reply_copy(reply);
    reply->answers++;
    return text_in(reply->buffer + reply->length, ANSWER_MAX_BYTES);
}

// The length of the whole lines from BYTES on, within MAX_LINE + 1 bytes, up to the first command.
// None of them can be too long. Two passes over all lines at once cost less than one for each.
static size_t plain_lines(const char *bytes, size_t length, size_t max_line)
{
    size_t within = size_min(length, max_line + 1);
    const char *last = memrchr(bytes, '\n', within);

    if (!last || bytes[0] == '/')
        return 0;
    const char *end = last + 1;
    for (const char *at = bytes; (at = memchr(at, '/', (size_t)(end - at))); at++)
        if (at[-1] == '\n')
            return (size_t)(at - bytes);
    return (size_t)(end - bytes);
}

static enum stream_status overlong(struct stream *stream, struct reply *reply)
{
    struct text text = reply_text(reply);
    bool second = stream->overlong_before;

    text_string(&text, ANSWER_LINE_TOO_LONG);
    reply->length += text.length;
    stream->discarding = stream->overlong_before = true;
    return second ? STREAM_CLOSE : STREAM_MORE;
}

// Drops the rest of an overlong line, as far as it has come.
static void discard(struct stream *stream, struct input *input)
{
    const char *from = input->bytes + input->done;
    const char *newline = memchr(from, '\n', input->length - input->done);

    input->done = newline ? (size_t)(newline + 1 - input->bytes) : input->length;
    stream->discarding = !newline;
}

static void answer_line(size_t length, struct input *input, const struct facts *facts,
                        struct gate *gate, struct reply *reply)
{
    const char *line = input->bytes + input->done;

    input->done += length;
    if (!answer_is_command(line, length)) {
        reply_echo(reply, line, length);
        return;
    }
    struct text text = reply_text(reply);
    answer_command(line, length, facts, gate, &text);
    reply->length += text.length;
}

// One step: the whole lines up to the next command, or a command, or an overlong line.
// Returns STREAM_MORE with nothing done if only an unfinished line is left.
static enum stream_status step(struct stream *stream, size_t max_line, struct input *input,
                               const struct facts *facts, struct gate *gate, struct reply *reply)
{
    const char *from = input->bytes + input->done;
    size_t left = input->length - input->done;
    size_t length = plain_lines(from, left, max_line);

    if (length == 0) {
        const char *newline = memchr(from, '\n', size_min(left, max_line + 1));

        if (!newline && left > max_line)
            return overlong(stream, reply);
        if (!newline && !input->ended)
            return STREAM_MORE;
        if (answer_is_command(from, left) && !facts->known)
            return STREAM_FACTS;
        length = newline ? (size_t)(newline + 1 - from) : left;
    }
    stream->overlong_before = false;
    answer_line(length, input, facts, gate, reply);
    return STREAM_MORE;
}

enum stream_status stream_answer(struct stream *stream, size_t max_line, struct input *input,
                                 const struct facts *facts, struct gate *gate, struct reply *reply)
{
    enum stream_status status = STREAM_MORE;

    while (input->done < input->length && status == STREAM_MORE) {
        size_t before = input->done;

        if (stream->discarding) {
            discard(stream, input);
            continue;
        }
        if (reply->answers == STREAM_ANSWERS_MAX)
            return STREAM_PAUSE;
        status = step(stream, max_line, input, facts, gate, reply);
        if (input->done == before && !stream->discarding)
            break;
    }
    return status;
}
