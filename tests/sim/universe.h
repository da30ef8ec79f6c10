// SPDX-License-Identifier: MIT
// universe: one run of the daemon, from its options to its end, all chosen by the seed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// What a run has seen, for the report.
struct sights {
    uint64_t universes, turns, faults, connections, datagrams, seconds;
};

void universe_run(uint64_t seed, bool tracing, struct sights *sights);
