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
    // Its connections count as clients, up to --max-tcp. If not, and if they are no observers, they
    // count as busy, and have GOODBYE_SECONDS in all.
    bool admitted;
    // Answers some bytes of a TCP connection, however they were cut into reads. NULL: not over TCP.
    enum outcome (*stream)(struct memory *memory, struct turn *turn);
    // Whether FRESH bytes end nothing that the PENDING bytes before them have begun, so that there
    // is nothing to answer: they are then kept at a cost that does not grow with what is pending.
    // Not asked if both are more than max_line together. NULL: it is to be asked by a turn.
    bool (*pends)(const char *fresh, size_t length, size_t pending, size_t max_line);
    // Answers one datagram: a turn that has ended, all of it done, and neither TURN_CLOSE nor
    // TURN_RESET. An empty reply is an empty datagram; with TURN_SILENT there is none. NULL: not
    // over UDP.
    enum outcome (*datagram)(struct turn *turn);
    // What is answered to a client that has begun a message and not ended it in --line-timeout,
    // before the goodbye. NULL: nothing.
    const char *late;
    // Of a message that has begun, what it may leave undone; 0: --max-line bytes.
    size_t most;
    bool observer; // asks about the server, and has OBSERVERS_MAX connections of its own
    bool blind;    // needs to know how many bytes came, not which: they are not copied
    bool verbatim; // a datagram that looks like an error message is answered like any other
};

// The roles that a port can have, as --listen names them.
#define ROLES(ROW) ROW(echo) ROW(raw) ROW(discard) ROW(http) ROW(faulty)

#define ROLE_DECLARED(name) extern const struct role role_##name;
ROLES(ROLE_DECLARED)
#undef ROLE_DECLARED

// The role of the connections beyond --max-tcp: no port's.
extern const struct role role_busy;

// What a port does, as --listen and FileDescriptorName= name it: its role, and with DUTY_PROXY
// behind the role's name, each connection begins with a PROXY header.
#define DUTY_PROXY "+proxy"
struct duty {
    const struct role *role;
    bool proxy;
};

// The duty of that NAME; its role is NULL if there is none.
struct duty duty_find(const char *name, size_t length);

// Whether a port for PROTOCOL can have DUTY, which has a role.
bool duty_is_for(struct duty duty, enum protocol protocol);

// Appends the names of the roles, with a comma and a blank in between.
void duty_list(struct text *text);
