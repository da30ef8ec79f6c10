// SPDX-License-Identifier: MIT
// unit: what every unit test begins with: cmocka and what it needs.
//
// TEST(name) { … } is a test, which is run because it stands there. BEFORE_EACH { … } and
// AFTER_EACH { … }, if a file has them, are run around each of its tests.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chance.h"
#include "ground/util.h"

#define TEST(name)                                                                                 \
    static void name(__attribute__((unused)) void **state);                                        \
    static __attribute__((constructor)) void add_##name(void)                                      \
    {                                                                                              \
        unit_add(#name, name);                                                                     \
    }                                                                                              \
    static void name(__attribute__((unused)) void **state)
#define BEFORE_EACH void unit_before_each(void)
#define AFTER_EACH void unit_after_each(void)

void unit_add(const char *name, CMUnitTestFunction test);
BEFORE_EACH;
AFTER_EACH;

// UNIT_SEED in the environment replaces SEED, and is printed for that.
struct chance chance_start(uint64_t seed);

// BYTES, LENGTH of them and not ended by a NUL, are the string EXPECTED.
void assert_bytes(const char *bytes, size_t length, const char *expected);
