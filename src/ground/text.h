// SPDX-License-Identifier: MIT
// text: builds a text in a buffer of fixed size. What does not fit is cut off and remembered.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct text {
    char *bytes; // the caller's; not terminated by a NUL
    size_t length;
    size_t room;
    bool cut; // something did not fit
};

// A text of nothing yet in ROOM bytes at BUFFER, which must outlive it.
struct text text_in(char *buffer, size_t room);

void text_bytes(struct text *text, const void *bytes, size_t length);
void text_string(struct text *text, const char *string);
// One of 256 bytes and more is cut off as a whole.
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// TIME in UTC as RFC 3339 has it, with DIGITS decimals of the second, 1 to 9.
void text_time(struct text *text, struct timespec time, int digits);

// The text as a string: the last byte of the room is given up for the NUL where it is needed.
const char *text_end(struct text *text);
