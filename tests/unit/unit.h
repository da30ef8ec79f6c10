// SPDX-License-Identifier: MIT
// unit: what every unit test begins with: cmocka and what it needs, and chance that can be
// replayed: UNIT_SEED in the environment sets the seed that a test prints.
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct chance {
    uint64_t state;
};

static inline struct chance chance_start(uint64_t seed)
{
    const char *given = getenv("UNIT_SEED");

    if (given)
        seed = strtoull(given, NULL, 0);
    printf("UNIT_SEED=%llu\n", (unsigned long long)seed);
    return (struct chance){seed};
}

// The next of SplitMix64 (Steele, Lea and Flood, 2014).
static inline uint64_t chance_word(struct chance *chance)
{
    uint64_t word = chance->state += 0x9e3779b97f4a7c15;

    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

// A number below BOUND, which is small.
static inline size_t chance_below(struct chance *chance, size_t bound)
{
    return (size_t)(chance_word(chance) >> 32) % bound;
}

// BYTES, LENGTH of them and not ended by a NUL, are the string EXPECTED.
static inline void assert_bytes(const char *bytes, size_t length, const char *expected)
{
    char *string = malloc(length + 1);

    assert_non_null(string);
    if (length > 0)
        memcpy(string, bytes, length);
    string[length] = '\0';
    assert_string_equal(string, expected);
    assert_int_equal(length, strlen(expected));
    free(string);
}

#endif
