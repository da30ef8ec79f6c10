// SPDX-License-Identifier: MIT
// address: an IPv4 or IPv6 address with a port, as one value.
//
// An IPv4 address is kept as its IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), so that a client
// is the same whether it came by a dual-stack socket or by an IPv4 one.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ground/text.h"

struct address {
    struct in6_addr ip;
    uint32_t scope; // the interface of a link-local address, else 0
    uint16_t port;  // in the host's byte order
};

// A whole address as text fits: brackets, address, scope and port.
enum { ADDRESS_TEXT_MAX = 80 };

// STRING without port, brackets or scope, as in inet_pton(3). False if it is none.
bool address_parse(const char *string, struct address *address);

struct address address_of(const struct sockaddr_storage *storage);
struct address address_of_v4(struct in_addr ip);

// Fills STORAGE for a socket of FAMILY (AF_INET or AF_INET6) and returns its length.
socklen_t address_store(const struct address *address, int family,
                        struct sockaddr_storage *storage);

bool address_same(const struct address *a, const struct address *b);

bool address_is_v4(const struct address *address);
struct in_addr address_v4(const struct address *address);
bool address_is_loopback(const struct address *address);

// Many hosts' address: multicast, or the limited broadcast address.
bool address_is_group(const struct address *address);

// No single host's address: that, or unspecified.
bool address_is_no_host(const struct address *address);

// Appends ADDRESS:PORT, an IPv6 address in brackets (RFC 5952, section 6).
void address_format(const struct address *address, struct text *text);

// The same as a string in a buffer of the caller's frame.
#define ADDRESS_STRING(address) address_string((char[ADDRESS_TEXT_MAX]){0}, address)
const char *address_string(char buffer[ADDRESS_TEXT_MAX], const struct address *address);
