// SPDX-License-Identifier: MIT
// packet: what an IP packet is, errors about it, and damage to it. Values in, values out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACKET_MAX_BYTES = 65536 };

struct packet {
    int version;             // 4 or 6
    int protocol;            // IPPROTO_TCP, IPPROTO_UDP, or another
    bool first;              // it holds the transport's header
    bool whole;              // and all of the datagram: it is no fragment
    bool dont_fragment;      // always for IPv6
    bool opening;            // TCP with SYN
    uint16_t source, target; // ports, of the first fragment
    size_t transport, data;  // offsets
};

// An ICMP error; V6 for ICMPv6.
struct packet_error {
    uint8_t type, code;
    bool v6;
    uint32_t rest; // of the header: the limit, for a packet that is too big
};

// False for what is neither IPv4 nor IPv6, or too short to say.
bool packet_look(const uint8_t *bytes, size_t length, struct packet *packet);

// Writes an error about the packet in ABOUT, to its sender and in the name of its receiver. Its
// length; ROOM for 1280 bytes.
size_t packet_write_error(uint8_t *room, const uint8_t *about, size_t length,
                          const struct packet_error *error);

// Changes bit BIT of the packet's data, counted round if there are fewer. With MEND the checksum is
// made to fit: nobody on the way can see it. False if there is no data.
bool packet_damage(uint8_t *bytes, size_t length, const struct packet *packet, uint64_t bit,
                   bool mend);
