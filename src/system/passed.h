// SPDX-License-Identifier: MIT
// passed: the sockets that systemd hands to a service, as sd_listen_fds(3) describes, without
// libsystemd. See journal.h for builds in which there are none.
#pragma once

#include "core/facts.h"

struct passed {
    int count;   // sockets that were handed over, be they of use or not, as descriptors from 3 on
    int taken;   // of these, by passed_take
    int flight;  // what an earlier process has left in the manager's store, or -1: see flight.h
    char *names; // of the sockets, with colons in between; or NULL
    char *names_left; // those of the sockets not yet taken
};

// Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and unsets them. To be called before any
// descriptor is opened: the environment may name one that is not open. NULL, or how it contradicts
// itself. passed_close frees what was taken either way, but closes no socket.
const char *passed_open(struct passed *passed);
void passed_close(struct passed *passed);

// What the manager's store has is the caller's: it is none of those that passed_take looks at.

// The next of them that can be served, listening for TCP or bound for UDP: it is the caller's from
// now on. Others are closed, and the log says why. -1: there are no more. NAME: as the socket unit
// has it (FileDescriptorName=), until passed_close; or empty.
int passed_take(struct passed *passed, enum protocol *protocol, const char **name);

// Closes FD, a socket of that NAME, because of REASON, which goes to the log.
void passed_refuse(int fd, const char *name, const char *reason);
