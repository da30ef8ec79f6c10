// SPDX-License-Identifier: MIT
// bench: a run: what is measured at rest, the connections, the warm-up, and what is measured.
#pragma once

#include "live.h"
#include "results.h"
#include "settings.h"

// Runs to the end or until it is interrupted: 0, or -1 with the reason on standard error.
int bench_run(const struct settings *settings, struct live *live, struct results *results);
