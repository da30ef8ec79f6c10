// SPDX-License-Identifier: MIT
// summary: what several runs have in common: the median of each figure, and how far it can be
// trusted.
#pragma once

#include "figure.h"
#include "ground/text.h"
#include "settings.h"

enum { RUNS_MAX = 100, SUMMARY_ROOM = 1 << 18 };

struct runs {
    struct results *all;
    unsigned count; // from 1 to RUNS_MAX
};

struct spread {
    bool known; // in every run
    double median, low, high;
    bool confident;  // there are runs enough for the next two:
    double from, to; // the median of all runs that might have been lies in there, 95 to 5
};

// Sorts VALUES, COUNT of them and at least one.
struct spread spread_of(double *values, unsigned count);

// The spread of a figure over the runs.
struct spread summary_spread(const struct runs *runs, const struct figure_row *row);

// One screen about all of them.
void summary_text(const struct settings *settings, const struct runs *runs, struct text *text);
