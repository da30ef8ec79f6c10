// SPDX-License-Identifier: MIT
// number: decimal numbers, read strictly: digits and nothing else.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NUMBER_MAXIMUM 1000000000000000000 // that can be asked for

// The number that the LENGTH bytes at TEXT are, up to MAXIMUM. False if they are none, or more.
bool number_parse(const char *text, size_t length, uint64_t maximum, uint64_t *number);

static inline bool number_of(const char *string, uint64_t maximum, uint64_t *number)
{
    return number_parse(string, strlen(string), maximum, number);
}
