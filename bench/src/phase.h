// SPDX-License-Identifier: MIT
// phase: a part of a run in which messages are sent, the warm-up or what is measured.
#pragma once

#include <stdint.h>

#include "engine.h"
#include "live.h"
#include "traffic.h"

// Sends for DURATION, or MESSAGES messages in all, and waits for the answers; LIVE shows how it
// goes on. What comes of it is added to the results.
void phase_run(struct engine *engine, struct traffic *traffic, struct live *live, uint64_t duration,
               uint64_t messages);
