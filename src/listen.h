// SPDX-License-Identifier: MIT
// listen: which sockets the server listens on, and who opened them.
#pragma once

#include "core/options.h"
#include "ground/text.h"
#include "system/passed.h"
#include "transport/ports.h"

// Whether every --listen names a role that there is, and protocols that it has. False if not: then
// ERROR names what is wrong, in one line.
bool listen_check(const struct options *options, struct text *error);

// Adds to PORTS the sockets that the OPTIONS ask for or, if there are any, those that were PASSED.
// Returns 0, or -1 with what failed in the log.
int listen_open(struct ports *ports, const struct options *options, struct passed *passed);
