// SPDX-License-Identifier: MIT
// util: the few macros, and a function, that every floor uses.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The object of TYPE whose MEMBER is at POINTER.
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t uint64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}
