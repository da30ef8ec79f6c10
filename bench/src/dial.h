// SPDX-License-Identifier: MIT
// dial: sockets connected to the server.
#ifndef DIAL_H
#define DIAL_H

#include <stdint.h>
#include <sys/socket.h>

#include "settings.h"

struct target {
    struct sockaddr_storage address;
    socklen_t length;
    uint64_t timeout; // nanoseconds that a connection may take to be made
    uint64_t dialled; // connections so far
};

// Looks the server up. NULL, or what is wrong.
const char *dial_find(const struct settings *settings, struct target *target);

// A socket of TYPE, connected and non-blocking; -1 with errno. It waits for the connection; see
// dial_begin for the way that does not.
//
// All ports of one address are used up after some ten thousand connections. Those to a loopback
// address of IPv4 therefore come from further ones, 127.0.0.2 and so on.
int dial(struct target *target, int type);

// The same for TCP, without waiting: the connection may still be under way.
int dial_begin(struct target *target);

#endif
