// SPDX-License-Identifier: MIT
// role: what a port does with what it is sent. Each role is a file beside this one and a row below.
//
// A role is a pure function from the bytes of a turn to those of its reply, and what follows. The
// transport moves the bytes and knows no protocol.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/turn.h"

struct role {
    const char *name;
    // Its connections count as clients, up to --max-tcp. If not, they count as busy, and have
    // GOODBYE_SECONDS in all.
    bool admitted;
    // Answers some bytes of a TCP connection, however they were cut into reads. NULL: not over TCP.
    enum outcome (*stream)(struct memory *memory, struct turn *turn);
    // Whether FRESH bytes end nothing that the PENDING bytes before them have begun, so that there
    // is nothing to answer: they are then kept at a cost that does not grow with what is pending.
    // Not asked if both are more than max_line together. NULL: it is to be asked by a turn.
    bool (*pends)(const char *fresh, size_t length, size_t pending, size_t max_line);
    // Answers one datagram: a turn that has ended, all of it done, and TURN_MORE or TURN_FACTS.
    // There is always an answer: an empty reply is an empty datagram. NULL: not over UDP.
    enum outcome (*datagram)(struct turn *turn);
};

// The roles that a port can have, as --listen names them.
#define ROLES(ROW) ROW(echo)

#define ROLE_DECLARED(name) extern const struct role role_##name;
ROLES(ROLE_DECLARED)
#undef ROLE_DECLARED

// The role of the connections beyond --max-tcp: no port's.
extern const struct role role_busy;

// The role of that name; NULL if there is none.
const struct role *role_find(const char *name, size_t length);
