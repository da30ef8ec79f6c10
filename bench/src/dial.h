// SPDX-License-Identifier: MIT
// dial: sockets connected to the server.
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

struct target {
    struct addrinfo *all; // the server's addresses, to be freed
    struct addrinfo *at;  // the one that is dialled
    bool reached;         // a server has been found there: no other one is tried
    uint64_t timeout;     // nanoseconds that a connection may take to be made
    uint64_t dialled;     // connections so far
};

// Looks the server up. NULL, or what is wrong.
const char *dial_find(const struct settings *settings, struct target *target);
void dial_finish(struct target *target);

// A socket of TYPE, connected and non-blocking; -1 with errno. It waits for the connection; see
// dial_begin for the way that does not. Until one of the server's addresses was reached, all are
// tried; those of UDP, where a name has several, by an empty datagram, which brings an ICMP error
// from where nobody listens.
//
// All ports of one address are used up after some ten thousand connections. Those to a loopback
// address of IPv4 therefore come from further ones, 127.0.0.2 and so on.
//
// Where nobody listens on a port that connections may come from, the kernel connects a socket to
// itself in time, and echoes: that is ECONNREFUSED.
int dial(struct target *target, int type);

// The same for TCP, without waiting: the connection may still be under way.
int dial_begin(struct target *target);

// Finds the address for dial_begin, if there is a choice: 0, or -1 with errno.
int dial_choose(struct target *target);

// What ERROR means for one who has dialled, and whether it is one of dialling.
const char *dial_error(int error);
bool dial_failed(int error);
