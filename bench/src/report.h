// SPDX-License-Identifier: MIT
// report: results as text for people, as JSON for programs, as a table for HdrHistogram's plotters.
#ifndef REPORT_H
#define REPORT_H

#include "ground/text.h"
#include "results.h"
#include "settings.h"

enum { REPORT_ROOM = 8192, REPORT_TIME_MAX = 24, HGRM_ROOM = 1 << 16 };

// One screen.
void report_text(const struct settings *settings, const struct results *results, struct text *text);

// One object, in one line.
void report_json(const struct settings *settings, const struct results *results, struct text *text);

// Milliseconds.
void report_hgrm(const struct results *results, struct text *text);

// NANOSECONDS with a unit that suits them.
const char *report_time(char room[REPORT_TIME_MAX], uint64_t nanoseconds);

// The latency that SHARE of all do not exceed, in the same way; "-" if there are none.
const char *report_latency(char room[REPORT_TIME_MAX], const struct histogram *latency,
                           double share);

#endif
