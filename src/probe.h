// SPDX-License-Identifier: MIT
// probe: asks a server once for an echo, as a health check does.
#pragma once

#include "core/options.h"
#include "ground/text.h"

enum { PROBE_BUSY = 3 }; // an exit status

// Sends one message to where PROBE says and waits a second for its echo. Returns the exit status:
// EXIT_SUCCESS, PROBE_BUSY where the server says that it is busy, or EXIT_FAILURE. But for the
// first, PROBLEM says in one line what happened.
int probe_run(const struct probe *probe, struct text *problem);
