// SPDX-License-Identifier: MIT
// fuzz: an input of libFuzzer's, taken apart from the front, and what must hold.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    const uint8_t *at;
    size_t left;
};

// The next byte; 0 when there is none.
static inline uint8_t fuzz_byte(struct fuzz *fuzz)
{
    if (fuzz->left == 0)
        return 0;
    fuzz->left--;
    return *fuzz->at++;
}

// Fills OBJECT with the next bytes, and zeros when there are no more.
static inline void fuzz_fill(struct fuzz *fuzz, void *object, size_t size)
{
    uint8_t *byte = object;

    while (size-- > 0)
        *byte++ = fuzz_byte(fuzz);
}

// Ends the program, for libFuzzer to keep the input, unless WHAT holds.
#define fuzz_must(what) ((what) ? (void)0 : fuzz_fail(#what, __FILE__, __LINE__))

static inline void fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}
