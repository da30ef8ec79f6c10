// SPDX-License-Identifier: MIT
// figure: everything that a run yields, by name: for --expect, for --repeat, and for what is
// printed.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "results.h"

// A figure, which may not have been measured: that is not 0.
struct figure {
    bool known;
    double value; // microseconds, if it is a time
};

struct figure_row {
    const char *name;
    struct figure (*of)(const struct results *results); // NULL for a percentile
    double share;                                       // of a percentile
    bool time;
    bool summed_up; // by the summary of several runs
    int decimals;
};

enum { FIGURES = 23, FIGURE_TEXT_MAX = 32 };
extern const struct figure_row figure_rows[FIGURES];

// The row of NAME, of LENGTH bytes; NULL if there is none.
const struct figure_row *figure_find(const char *name, size_t length);

// That of a row, or by its name; NULL and a name that is none are not known.
struct figure figure_of(const struct figure_row *row, const struct results *results);
struct figure figure_named(const char *name, const struct results *results);

// Whether so many values bear the percentile: a few have to lie beyond it.
bool figure_borne(const struct histogram *histogram, double share);

// The percentile in microseconds, however few values there are.
struct figure figure_percentile(const struct histogram *histogram, double share);

// VALUE / DIVISOR, of which nothing is known if DIVISOR is 0.
struct figure figure_quotient(bool known, double value, double divisor);

// The figure with its thousands set apart, and "-" if it is not known.
const char *figure_text(char room[FIGURE_TEXT_MAX], struct figure figure, int decimals);
