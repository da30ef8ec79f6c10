// SPDX-License-Identifier: MIT
// metrics: the counters as a page for Prometheus, in its text format 0.0.4.
#pragma once

#include "core/facts.h"

// Appends the page to PAGE. Its length does not depend on how many clients there are.
void metrics_page(const struct facts *facts, struct text *page);
