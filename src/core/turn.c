// SPDX-License-Identifier: MIT
#include "core/turn.h"

#include <assert.h>
#include <string.h>

bool turn_within_bounds(const struct turn *turn, enum outcome outcome)
{
    return turn->done <= turn->length &&
           (outcome != TURN_MORE || turn->length - turn->done <= turn->max_line);
}

void reply_echo(struct reply *reply, const char *bytes, size_t length)
{
    if (reply->length == 0)
        reply->bytes = bytes;
    else if (reply->bytes == reply->buffer)
        memcpy(reply->buffer + reply->length, bytes, length);
    else
        assert(reply->bytes + reply->length == bytes);
    reply->length += length;
}

struct text reply_text(struct reply *reply)
{
    assert(reply->texts < TURN_TEXTS_MAX);
    if (reply->length > 0 && reply->bytes != reply->buffer)
        memcpy(reply->buffer, reply->bytes, reply->length);
    reply->bytes = reply->buffer;
    reply->texts++;
    return text_in(reply->buffer + reply->length, TURN_TEXT_MAX_BYTES);
}

void reply_add(struct reply *reply, const struct text *text)
{
    assert(!text->cut);
    reply->length += text->length;
}
