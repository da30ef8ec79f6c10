// SPDX-License-Identifier: MIT
// What is proved of text.c: it never writes beyond its room. The contracts are in ground.h but one.
#include "prove.h"

#include "ground.h"

#include "ground/text.c"

PROVED(size_min);
PROVED(text_in);
PROVED(text_bytes);
PROVED(text_end);

// Elsewhere it is given literals, which WP does not know to be strings.
/*@ requires text_ok(text);
    requires is_string(string);
    requires \separated(string + (0 .. length_of(string)), text,
                        text->bytes + (0 .. text->room - 1));
    terminates \true;
    assigns text->length, text->cut, text->bytes[text->length .. text->room - 1];
    ensures text_ok(text);
    ensures \old(text->length) <= text->length;
*/
void text_string(struct text *text, const char *string);
PROVED(text_string);
