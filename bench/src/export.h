// SPDX-License-Identifier: MIT
// export: results for programs, as JSON and as a table for HdrHistogram's plotters.
#pragma once

#include "ground/text.h"
#include "results.h"
#include "settings.h"

enum { HGRM_ROOM = 1 << 16, JSON_ROOM = (1 << 15) + INTERVALS_MAX * 160 };

// One object, in one line.
void export_json(const struct settings *settings, const struct results *results, struct text *text);

// Milliseconds.
void export_hgrm(const struct histogram *latency, struct text *text);
