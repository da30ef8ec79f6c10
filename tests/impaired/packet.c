// SPDX-License-Identifier: MIT
#include "packet.h"

#include <netinet/in.h>
#include <string.h>

// Offsets and sizes: RFC 791, 8200, 768, 9293, 792, 4443.
enum {
    V4_HEADER = 20,
    V4_FRAGMENT = 6,
    V4_PROTOCOL = 9,
    V4_CHECKSUM = 10,
    V4_SOURCE = 12,
    V4_TARGET = 16,
    V4_DONT_FRAGMENT = 0x4000,
    V4_FRAGMENT_BITS = 0x3fff, // offset, and whether more follow
    V4_OFFSET_BITS = 0x1fff,
    V6_HEADER = 40,
    V6_NEXT = 6,
    V6_SOURCE = 8,
    V6_TARGET = 24,
    V6_FRAGMENT_HEADER = 8,
    V6_OFFSET_BITS = 0xfff8,
    UDP_HEADER = 8,
    UDP_CHECKSUM = 6,
    TCP_HEADER = 20,
    TCP_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_SYN = 2,
    TCP_CHECKSUM = 16,
    ICMP_HEADER = 8,
    HOPS = 64,
    V4_ERROR_MAX = 576,
    V6_ERROR_MAX = 1280,
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void look_at_transport(const uint8_t *bytes, size_t length, struct packet *packet)
{
    const uint8_t *at = bytes + packet->transport;
    size_t left = length - packet->transport;
    size_t header = packet->protocol == IPPROTO_UDP ? UDP_HEADER : TCP_HEADER;

    packet->data = length;
    if (!packet->first || left < header ||
        (packet->protocol != IPPROTO_UDP && packet->protocol != IPPROTO_TCP))
        return;
    packet->source = get16(at);
    packet->target = get16(at + 2);
    if (packet->protocol == IPPROTO_TCP) {
        header = (size_t)(at[TCP_OFFSET] >> 4) * 4;
        packet->opening = at[TCP_FLAGS] & TCP_SYN;
    }
    packet->data = packet->transport + (header < left ? header : left);
}

bool packet_look(const uint8_t *bytes, size_t length, struct packet *packet)
{
    *packet = (struct packet){.version = length > 0 ? bytes[0] >> 4 : 0};
    if (packet->version == 4 && length >= V4_HEADER) {
        uint16_t fragment = get16(bytes + V4_FRAGMENT);

        packet->transport = (size_t)(bytes[0] & 15) * 4;
        packet->protocol = bytes[V4_PROTOCOL];
        packet->first = (fragment & V4_OFFSET_BITS) == 0;
        packet->whole = (fragment & V4_FRAGMENT_BITS) == 0;
        packet->dont_fragment = fragment & V4_DONT_FRAGMENT;
    } else if (packet->version == 6 && length >= V6_HEADER) {
        packet->transport = V6_HEADER;
        packet->protocol = bytes[V6_NEXT];
        packet->first = packet->whole = packet->dont_fragment = true;
        if (packet->protocol == IPPROTO_FRAGMENT && length >= V6_HEADER + V6_FRAGMENT_HEADER) {
            packet->transport += V6_FRAGMENT_HEADER;
            packet->protocol = bytes[V6_HEADER];
            packet->first = (get16(bytes + V6_HEADER + 2) & V6_OFFSET_BITS) == 0;
            packet->whole = false;
        }
    } else {
        return false;
    }
    if (packet->transport > length)
        return false;
    look_at_transport(bytes, length, packet);
    return true;
}

static uint32_t sum(const uint8_t *bytes, size_t length, uint32_t before)
{
    uint64_t total = before;

    for (size_t i = 0; i + 1 < length; i += 2)
        total += get16(bytes + i);
    if (length % 2 == 1)
        total += (uint64_t)bytes[length - 1] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint32_t)total;
}

static size_t at_most(size_t length, size_t most)
{
    return length < most ? length : most;
}

static size_t write_error4(uint8_t *room, const uint8_t *about, size_t length,
                           const struct packet_error *error)
{
    uint8_t *icmp = room + V4_HEADER;
    size_t quoted = at_most(length, V4_ERROR_MAX - V4_HEADER - ICMP_HEADER);
    size_t total = V4_HEADER + ICMP_HEADER + quoted;

    memset(room, 0, V4_HEADER + ICMP_HEADER);
    room[0] = 0x45;
    put16(room + 2, (uint32_t)total);
    room[8] = HOPS;
    room[V4_PROTOCOL] = IPPROTO_ICMP;
    memcpy(room + V4_SOURCE, about + V4_TARGET, 4);
    memcpy(room + V4_TARGET, about + V4_SOURCE, 4);
    put16(room + V4_CHECKSUM, ~sum(room, V4_HEADER, 0));
    icmp[0] = error->type;
    icmp[1] = error->code;
    put16(icmp + 6, error->rest);
    memcpy(icmp + ICMP_HEADER, about, quoted);
    put16(icmp + 2, ~sum(icmp, ICMP_HEADER + quoted, 0));
    return total;
}

static size_t write_error6(uint8_t *room, const uint8_t *about, size_t length,
                           const struct packet_error *error)
{
    uint8_t *icmp = room + V6_HEADER;
    size_t quoted = at_most(length, V6_ERROR_MAX - V6_HEADER - ICMP_HEADER);
    size_t payload = ICMP_HEADER + quoted;

    memset(room, 0, V6_HEADER + ICMP_HEADER);
    room[0] = 0x60;
    put16(room + 4, (uint32_t)payload);
    room[V6_NEXT] = IPPROTO_ICMPV6;
    room[7] = HOPS;
    memcpy(room + V6_SOURCE, about + V6_TARGET, 16);
    memcpy(room + V6_TARGET, about + V6_SOURCE, 16);
    icmp[0] = error->type;
    icmp[1] = error->code;
    put16(icmp + 4, error->rest >> 16);
    put16(icmp + 6, error->rest);
    memcpy(icmp + ICMP_HEADER, about, quoted);
    // The pseudo-header: both addresses, the length, the protocol.
    uint32_t pseudo = sum(room + V6_SOURCE, 32, (uint32_t)payload + IPPROTO_ICMPV6);
    put16(icmp + 2, ~sum(icmp, payload, pseudo));
    return V6_HEADER + payload;
}

size_t packet_write_error(uint8_t *room, const uint8_t *about, size_t length,
                          const struct packet_error *error)
{
    return error->v6 ? write_error6(room, about, length, error)
                     : write_error4(room, about, length, error);
}

bool packet_damage(uint8_t *bytes, size_t length, const struct packet *packet, uint64_t bit,
                   bool mend)
{
    if (packet->data >= length)
        return false;
    size_t at = packet->data + (bit / 8) % (length - packet->data);
    size_t word = packet->transport + (at - packet->transport) / 2 * 2;
    uint8_t *checksum =
        bytes + packet->transport + (packet->protocol == IPPROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
    uint8_t pair[2] = {bytes[word], word + 1 < length ? bytes[word + 1] : 0};
    uint16_t before = get16(pair);

    pair[at - word] ^= (uint8_t)(1 << bit % 8);
    bytes[at] = pair[at - word];
    if (mend) { // RFC 1624
        uint32_t total = (uint16_t)~get16(checksum) + (uint32_t)(uint16_t)~before + get16(pair);

        while (total >> 16)
            total = (total & 0xffff) + (total >> 16);
        put16(checksum, ~total);
    }
    return true;
}
