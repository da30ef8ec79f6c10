// SPDX-License-Identifier: MIT
// proxy: the header of the PROXY protocol, version 1 or 2, that a proxy puts before what a client
// sends, to tell who that is. The protocol is described in HAProxy's doc/proxy-protocol.txt.
//
// Nothing but its place says that it comes from a proxy: who may connect may announce anything.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"

// A header, all of it. Version 2 could announce 65551 bytes, all but 232 of them TLVs.
enum { PROXY_MAX_BYTES = 4096 };

struct proxy_header {
    size_t length;       // of the whole header, CRLF or TLVs included; 0: it is not complete yet
    const char *problem; // NULL, or what is wrong with it, in some words for the log: nothing else
                         // is set then
    bool announced;      // else the real addresses hold: LOCAL, UNKNOWN, UNSPEC, unix family
    struct address source, destination; // if announced: the client's and the one it connected to

    // What two TLVs say, where they stand in the bytes. The length is 0 if there is none, or if it
    // is too long or not all of it is printable, ASCII without the blank: it may go into a log.
    const char *authority; // the name that the client asked for, by SNI mostly; up to 255 bytes
    size_t authority_length;
    const char *tls; // the version of TLS that the client speaks; up to 15 bytes
    size_t tls_length;
};

// Reads the header that the LENGTH bytes begin with. Any further ones change nothing once there is
// a length or a problem, so the answer does not depend on how a header is cut into pieces.
//
// What can come right no more is a problem as soon as that is seen: at the first byte that no
// header has, at what the first 16 bytes of version 2 say of it, at the end of version 1's line.
// With PROXY_MAX_BYTES there is always a length or a problem. With none at all there is neither.
//
// Lenient where it harms nobody: a connection whose protocol is a datagram one, IPv4-mapped IPv6
// addresses with a dotted end, which is how senders write them, and an SSL TLV that does not add
// up: what stands before its fault counts. LOCAL has no client, so what it says of addresses is not
// looked at; and its TLVs are only checked if they can be found, for it may leave out addresses
// that its family has.
void proxy_parse(const char *bytes, size_t length, struct proxy_header *header);
