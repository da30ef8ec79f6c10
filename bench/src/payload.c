// SPDX-License-Identifier: MIT
#include "payload.h"

#include <string.h>

#include "ground/util.h"

enum { DIGITS = 64, PIECE = 64 };

// Twice the 64 digits, so that a run of 64 may begin at any of them.
#define DIGITS_ONCE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
static const char digits[] = DIGITS_ONCE DIGITS_ONCE;

static void put_number(char *bytes, size_t length, uint64_t number)
{
    for (size_t i = 0; i < length; i++, number /= DIGITS)
        bytes[i] = digits[number % DIGITS];
}

static void make_stamp(char stamp[PAYLOAD_STAMP_BYTES], uint32_t stream, uint64_t sequence)
{
    put_number(stamp, PAYLOAD_SEQUENCE_BYTES, sequence);
    put_number(stamp + PAYLOAD_SEQUENCE_BYTES, PAYLOAD_STREAM_BYTES, stream);
}

static const char *filling(uint32_t stream, uint64_t sequence)
{
    return digits + (sequence * 7 + stream) % DIGITS;
}

void payload_write(char *bytes, size_t size, uint32_t stream, uint64_t sequence)
{
    char stamp[PAYLOAD_STAMP_BYTES];
    size_t text = size - 1;
    size_t at = size_min(text, sizeof stamp);

    make_stamp(stamp, stream, sequence);
    memcpy(bytes, stamp, at);
    for (; at < text; at += size_min(PIECE, text - at))
        memcpy(bytes + at, filling(stream, sequence), size_min(PIECE, text - at));
    bytes[text] = '\n';
}

bool payload_matches(const char *bytes, size_t size, uint32_t stream, uint64_t sequence)
{
    char stamp[PAYLOAD_STAMP_BYTES];
    size_t text = size - 1;
    size_t at = size_min(text, sizeof stamp);

    make_stamp(stamp, stream, sequence);
    if (memcmp(bytes, stamp, at) != 0 || bytes[text] != '\n')
        return false;
    for (; at < text; at += size_min(PIECE, text - at))
        if (memcmp(bytes + at, filling(stream, sequence), size_min(PIECE, text - at)) != 0)
            return false;
    return true;
}

static int digit_of(char byte)
{
    if (byte == '\0')
        return -1;
    const char *at = strchr(digits, byte);
    return at ? (int)(at - digits) : -1;
}

static bool get_number(const char *bytes, size_t length, uint64_t *number)
{
    *number = 0;
    for (size_t i = length; i-- > 0;) {
        int digit = digit_of(bytes[i]);

        if (digit < 0)
            return false;
        *number = *number * DIGITS + (uint64_t)digit;
    }
    return true;
}

bool payload_read(const char *bytes, size_t size, uint32_t *stream, uint64_t *sequence)
{
    uint64_t number;

    if (size <= PAYLOAD_STAMP_BYTES || !get_number(bytes, PAYLOAD_SEQUENCE_BYTES, sequence) ||
        !get_number(bytes + PAYLOAD_SEQUENCE_BYTES, PAYLOAD_STREAM_BYTES, &number))
        return false;
    *stream = (uint32_t)number;
    return true;
}

size_t payload_refusal(const char *bytes, size_t length)
{
    const char *end = memchr(bytes, '\n', length);

    return end && memchr(bytes, ' ', (size_t)(end - bytes)) ? (size_t)(end - bytes) : 0;
}
