// SPDX-License-Identifier: MIT
// warning: what makes a run's figures doubtful, and what to do about it.
#pragma once

#include <stdbool.h>

#include "ground/text.h"
#include "results.h"

enum { WARNINGS = FAULTS + 5 };

// Adds the sentence of warning NUMBER, less than WARNINGS, if it applies; else returns false.
bool warning_write(unsigned number, const struct results *results, struct text *text);
