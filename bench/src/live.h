// SPDX-License-Identifier: MIT
// live: the line that shows how a run goes on.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ground/text.h"
#include "results.h"

enum { LIVE_POINTS = 32 };

struct live {
    bool shown; // on the terminal
    bool lines; // for each interval
    bool unicode;
    const char *us;           // microseconds
    double rate[LIVE_POINTS]; // messages a second, the latest at the end
    uint64_t messages, time;  // when it was last shown
};

// Notes that there were MESSAGES at TIME (nanoseconds), both since the same moment as before.
void live_note(struct live *live, uint64_t messages, uint64_t time);

// Writes the line, of less than COLUMNS: SHARE of the run is done.
void live_write(const struct live *live, double share, const struct histogram *latency,
                size_t columns, struct text *text);

// Does both with the messages of LATENCY, on the terminal that standard error is, if the line is
// shown.
void live_show(struct live *live, const struct histogram *latency, double share, uint64_t time);

// Prints a line about INTERVAL to standard output, if such lines are wanted. FAULTS are those so
// far.
void live_interval(const struct live *live, const struct interval *interval, uint64_t faults);

// VALUES as a row of bars, the highest as high as a line is.
void live_sparkline(const double *values, size_t count, bool unicode, struct text *text);
