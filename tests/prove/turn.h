// SPDX-License-Identifier: MIT
// The contracts of core/turn.h, which turn.c proves.
#pragma once

#include "ground.h"

#include "core/turn.h"

/*@ // The buffer has ROOM bytes beyond the reply's, and what is not in it yet is elsewhere.
    predicate reply_room(struct reply *reply, integer room) =
        \valid(reply) && reply->length <= 0x7fffffff &&
        \valid(reply->buffer + (0 .. reply->length + room - 1)) &&
        \separated(reply, reply->buffer + (0 .. reply->length + room - 1)) &&
        (reply->length == 0 || reply->bytes == reply->buffer ||
         (\valid_read(reply->bytes + (0 .. reply->length - 1)) &&
          \separated(reply->bytes + (0 .. reply->length - 1),
                     reply->buffer + (0 .. reply->length + room - 1))));
*/

/*@ requires \valid(reply) && reply->length <= 0x7fffffff && length <= 0x7fffffff;
    requires reply->length == 0 || reply->bytes == reply->buffer ||
             reply->bytes + reply->length == bytes;
    requires reply->length > 0 && reply->bytes == reply->buffer ==>
             \valid(reply->buffer + (0 .. reply->length + length - 1)) &&
             \valid_read(bytes + (0 .. length - 1)) &&
             \separated(reply, bytes + (0 .. length - 1),
                        reply->buffer + (0 .. reply->length + length - 1));
    terminates \true;
    assigns reply->bytes \from reply->bytes, reply->buffer, bytes;
    assigns reply->length,
            reply->buffer[reply->length .. reply->length == 0 ? -1 : reply->length + length - 1];
    ensures reply->length == \old(reply->length) + length;
    ensures \old(reply->length) == 0 ==> reply->bytes == bytes;
    ensures \old(reply->length) > 0 ==> reply->bytes == \old(reply->bytes);
*/
void reply_echo(struct reply *reply, const char *bytes, size_t length);

/*@ requires reply_room(reply, TURN_TEXT_MAX_BYTES) && reply->texts < TURN_TEXTS_MAX;
    terminates \true;
    assigns reply->bytes \from reply->buffer;
    assigns reply->texts, reply->buffer[0 .. reply->length - 1];
    ensures reply->bytes == reply->buffer && reply->texts == \old(reply->texts) + 1;
    ensures \result.bytes == reply->buffer + reply->length;
    ensures \result.length == 0 && \result.room == TURN_TEXT_MAX_BYTES && \result.cut == 0;
*/
struct text reply_text(struct reply *reply);

/*@ requires \valid(reply) && \valid_read(text) && text->cut == 0;
    requires reply->length <= 0x7fffffff && text->length <= 0x7fffffff;
    requires \separated(reply, text);
    terminates \true;
    assigns reply->length;
    ensures reply->length == \old(reply->length) + text->length;
*/
void reply_add(struct reply *reply, const struct text *text);
