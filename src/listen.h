// SPDX-License-Identifier: MIT
// listen: which sockets the server listens on, and who opened them.
#pragma once

#include "core/options.h"
#include "ground/text.h"
#include "system/passed.h"
#include "transport/handover.h"
#include "transport/ports.h"

// Whether every --listen names a role that there is, and protocols that it has. False if not: then
// ERROR names what is wrong, in one line.
bool listen_check(const struct options *options, struct text *error);

// Adds to PORTS the sockets that the OPTIONS ask for, each as it has come by HANDOVER if it has;
// or, if there are any, those that were PASSED, to this process or one before. Returns 0, or -1
// with what failed in the log.
int listen_open(struct ports *ports, const struct options *options, struct passed *passed,
                struct handover *handover);
