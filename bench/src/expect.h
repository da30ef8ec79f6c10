// SPDX-License-Identifier: MIT
// expect: bounds on figures, given on the command line, that a run has to keep.
#pragma once

#include "figure.h"
#include "ground/text.h"

enum { EXPECT_MAX = 16 };

struct bound {
    const struct figure_row *figure;
    char relation[3]; // <, <=, =, >= or >
    double value;     // microseconds, if the figure is a time
    const char *text;
    int length; // of the text
};

// All zero expects nothing.
struct expect {
    unsigned count;
    struct bound bounds[EXPECT_MAX];
};

// Reads LIST, such as "p99<2ms,errors=0", which has to outlive EXPECT. False if it is wrong: then
// ERROR says what is.
bool expect_read(struct expect *expect, const char *list, struct text *error);

// Whether the figure that has been MEASURED keeps BOUND; one that is not known does not.
bool expect_kept(const struct bound *bound, struct figure measured);

// Whether there is a bound on the figure of NAME.
bool expect_has(const struct expect *expect, const char *name);
