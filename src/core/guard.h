// SPDX-License-Identifier: MIT
// guard: which datagrams may be answered, so that the server cannot be made a weapon. Source
// addresses can be forged: CVE-1999-0103, CVE-2024-2169, CERT VU#417980 name the echo service.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/counters.h"

enum { GUARD_LOWEST_PORT = 1024 };

// The UDP ports that this server serves, a bit each.
struct guard_ports {
    uint64_t own[65536 / 64];
};

// One that came alone; or, while it is taken apart, several of one sender's that came as one.
struct datagram {
    struct address peer, local; // from, and to
    bool to_host;               // `local` is an address of this host's, not a broadcast address
    int hop_limit;              // that it arrived with; 0: not known
    int dscp;                   // to be reflected, where it stands in the traffic class; or 0
    uint32_t lost;              // by its socket so far, for want of room, if it tells
    unsigned fragment;          // the largest of several IPv6 packets that it came in, or 0
    const char *bytes;
    size_t held;    // bytes
    size_t length;  // as sent: more if it was truncated
    size_t segment; // bytes of each of several, the last of which may be shorter; 0: it is one
    bool truncated;
};

void guard_add_port(struct guard_ports *ports, uint16_t port);

// DROP_NONE, or why PEER may be no client at all: a service's port, this server's own ones
// included, for two services answering each other is the attack; or not from one host to one host.
enum drop guard_addresses(const struct datagram *datagram, const struct guard_ports *ports);

// DROP_NONE, or why the datagram may not be answered: its answer would have no hop limit of 1 at
// least, so that any exchange between such servers dies out, or it is itself an error message, and
// not ANY_CONTENT may be answered.
enum drop guard_content(const struct datagram *datagram, bool any_content);

// Of the length and both ends, which is where datagrams are numbered: two that are alike have one
// digest, two that differ there most probably not.
uint32_t guard_digest(const struct datagram *datagram);
