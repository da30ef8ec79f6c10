// SPDX-License-Identifier: MIT
// The contracts of ground/text.h and ground/util.h. text.c proves them but for text_format's: what
// vsnprintf(3) does with its arguments is beyond WP, and what it has made goes through text_bytes.
#pragma once

#include <string.h>

#include "ground/text.h"
#include "ground/util.h"

/*@ terminates \true;
    assigns \nothing;
    ensures \result == (a < b ? a : b);
*/
static inline size_t size_min(size_t a, size_t b);

// What a text is from text_in on.
/*@ predicate text_ok(struct text *text) =
        \valid(text) && text->length <= text->room <= 0x7fffffff &&
        \valid(text->bytes + (0 .. text->room - 1)) &&
        \separated(text, text->bytes + (0 .. text->room - 1));
*/

/*@ requires room <= 0x7fffffff && \valid(buffer + (0 .. room - 1));
    terminates \true;
    assigns \nothing;
    ensures \result.bytes == buffer && \result.room == room && \result.length == 0;
    ensures \result.cut == 0;
*/
struct text text_in(char *buffer, size_t room);

/*@ requires text_ok(text);
    requires length == 0 || \valid_read((char *)bytes + (0 .. length - 1));
    requires length == 0 || \separated((char *)bytes + (0 .. length - 1), text,
                                       text->bytes + (0 .. text->room - 1));
    terminates \true;
    assigns text->length, text->cut, text->bytes[text->length .. text->room - 1];
    ensures text_ok(text);
    ensures text->length == (\old(text->length) + length <= text->room
                                 ? \old(text->length) + length : text->room);
    ensures text->cut <==> \old(text->cut) || text->length < \old(text->length) + length;
*/
void text_bytes(struct text *text, const void *bytes, size_t length);

/*@ requires text_ok(text);
    terminates \true;
    assigns text->length, text->cut, text->bytes[text->length .. text->room - 1];
    ensures text_ok(text);
    ensures \old(text->length) <= text->length;
*/
void text_format(struct text *text, const char *format, ...);

/*@ requires text_ok(text) && text->room > 0;
    terminates \true;
    assigns \result \from text->bytes;
    assigns text->length, text->cut, text->bytes[0 .. text->room - 1];
    ensures text_ok(text) && text->length < text->room;
    ensures \result == text->bytes && text->bytes[text->length] == 0;
*/
const char *text_end(struct text *text);
