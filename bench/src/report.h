// SPDX-License-Identifier: MIT
// report: results as text for people.
#pragma once

#include "ground/text.h"
#include "results.h"
#include "settings.h"

enum { REPORT_ROOM = 8192 };

// What is measured: the head of every report.
void report_what(const struct settings *settings, struct text *text);

// One screen about one run.
void report_text(const struct settings *settings, const struct results *results, struct text *text);

// The warnings that apply, a line each, beginning with BEFORE.
void report_warnings(const struct results *results, const char *before, struct text *text);
