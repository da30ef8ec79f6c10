// SPDX-License-Identifier: MIT
#include "ground/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ground/util.h"

struct text text_in(char *buffer, size_t room)
{
    return (struct text){.bytes = buffer, .room = room};
}

void text_bytes(struct text *text, const void *bytes, size_t length)
{
    size_t fits = size_min(length, text->room - text->length);

    if (fits > 0)
        memcpy(text->bytes + text->length, bytes, fits);
    text->length += fits;
    text->cut = text->cut || fits < length;
}

void text_string(struct text *text, const char *string)
{
    text_bytes(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    char piece[256]; // longer than any text that a format of ours makes
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if ((size_t)length >= sizeof piece) // a negative one, an error, too
        text->cut = true;
    else
        text_bytes(text, piece, (size_t)length);
}

void text_time(struct text *text, struct timespec time, int digits)
{
    struct tm utc = {0};
    char stamp[32];

    if (!gmtime_r(&time.tv_sec, &utc))
        return; // a year beyond what an int holds
    text_bytes(text, stamp, strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.", &utc));
    snprintf(stamp, sizeof stamp, "%09ld", time.tv_nsec);
    text_bytes(text, stamp, (size_t)digits);
    text_string(text, "Z");
}

const char *text_end(struct text *text)
{
    if (text->length == text->room) {
        text->length--;
        text->cut = true;
    }
    text->bytes[text->length] = '\0';
    return text->bytes;
}
