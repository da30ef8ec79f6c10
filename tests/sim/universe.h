// SPDX-License-Identifier: MIT
// universe: one run of the daemon, from its options to its end, all chosen by the seed.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// What a run has seen, for the report.
enum sight {
    SIGHT_UNIVERSES,
    SIGHT_TURNS,
    SIGHT_CONNECTIONS,
    SIGHT_DATAGRAMS,
    SIGHT_FAULTS,
    SIGHT_SUCCESSIONS,
    SIGHT_SECONDS,
    SIGHTS
};

void universe_run(uint64_t seed, bool tracing, uint64_t sights[SIGHTS]);
