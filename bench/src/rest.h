// SPDX-License-Identifier: MIT
// rest: what is measured before any message goes: idle connections, and the server at rest.
#pragma once

#include "dial.h"
#include "engine.h"
#include "results.h"
#include "settings.h"

struct rest {
    const struct settings *settings;
    struct engine *engine;
    struct results *results;
    struct idle *idle; // settings->idle of them
    unsigned opened;   // of these
};

// Opens the idle connections to TARGET, weighs them, and counts the server's wakeups: 0, or -1 with
// the reason on standard error.
int rest_measure(struct rest *rest, struct target *target);

// Closes the idle connections.
void rest_finish(struct rest *rest);
