// SPDX-License-Identifier: MIT
#include "packet.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "ground/util.h"

// Of RFC 792 and 4443: how long an error may be.
enum { HOPS = 64, V4_ERROR_MAX = 576, V6_ERROR_MAX = 1280 };

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void look_at_transport(const uint8_t *bytes, size_t length, struct packet *packet)
{
    bool udp = packet->protocol == IPPROTO_UDP;
    size_t left = length - packet->transport;
    size_t header = udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
    struct tcphdr tcp; // whose ports stand where UDP's do

    packet->data = length;
    if (!packet->first || left < header || (!udp && packet->protocol != IPPROTO_TCP))
        return;
    memcpy(&tcp, bytes + packet->transport, header);
    packet->source = ntohs(tcp.source);
    packet->target = ntohs(tcp.dest);
    if (!udp) {
        header = (size_t)tcp.doff * 4;
        packet->opening = tcp.syn;
    }
    packet->data = packet->transport + size_min(header, left);
}

bool packet_look(const uint8_t *bytes, size_t length, struct packet *packet)
{
    *packet = (struct packet){.version = length > 0 ? bytes[0] >> 4 : 0};
    if (packet->version == 4 && length >= sizeof(struct iphdr)) {
        uint16_t fragment = get16(bytes + offsetof(struct iphdr, frag_off));

        packet->transport = (size_t)(bytes[0] & 15) * 4;
        packet->protocol = bytes[offsetof(struct iphdr, protocol)];
        packet->first = (fragment & IP_OFFMASK) == 0;
        packet->whole = (fragment & (IP_OFFMASK | IP_MF)) == 0;
        packet->dont_fragment = fragment & IP_DF;
    } else if (packet->version == 6 && length >= sizeof(struct ip6_hdr)) {
        struct ip6_frag fragment;

        packet->transport = sizeof(struct ip6_hdr);
        packet->protocol = bytes[offsetof(struct ip6_hdr, ip6_nxt)];
        packet->first = packet->whole = packet->dont_fragment = true;
        if (packet->protocol == IPPROTO_FRAGMENT &&
            length >= sizeof(struct ip6_hdr) + sizeof fragment) {
            memcpy(&fragment, bytes + sizeof(struct ip6_hdr), sizeof fragment);
            packet->transport += sizeof fragment;
            packet->protocol = fragment.ip6f_nxt;
            packet->first = (fragment.ip6f_offlg & IP6F_OFF_MASK) == 0;
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

static uint32_t sum(const void *bytes, size_t length, uint32_t before)
{
    const uint8_t *at = bytes;
    uint64_t total = before;

    for (size_t i = 0; i + 1 < length; i += 2)
        total += get16(at + i);
    if (length % 2 == 1)
        total += (uint64_t)at[length - 1] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint32_t)total;
}

static uint16_t checksum(uint32_t total)
{
    return htons((uint16_t)~total);
}

static void put_header4(uint8_t *room, const uint8_t *about, size_t payload)
{
    struct iphdr ip, of;

    memcpy(&of, about, sizeof of);
    ip = (struct iphdr){.version = 4,
                        .ihl = sizeof ip / 4,
                        .tot_len = htons((uint16_t)(sizeof ip + payload)),
                        .ttl = HOPS,
                        .protocol = IPPROTO_ICMP,
                        .saddr = of.daddr,
                        .daddr = of.saddr};
    ip.check = checksum(sum(&ip, sizeof ip, 0));
    memcpy(room, &ip, sizeof ip);
}

// Returns the sum of the pseudo-header: both addresses, the length, the protocol.
static uint32_t put_header6(uint8_t *room, const uint8_t *about, size_t payload)
{
    struct ip6_hdr ip, of;

    memcpy(&of, about, sizeof of);
    ip = (struct ip6_hdr){.ip6_flow = htonl(6 << 28),
                          .ip6_plen = htons((uint16_t)payload),
                          .ip6_nxt = IPPROTO_ICMPV6,
                          .ip6_hlim = HOPS,
                          .ip6_src = of.ip6_dst,
                          .ip6_dst = of.ip6_src};
    memcpy(room, &ip, sizeof ip);
    return sum(&ip.ip6_src, 2 * sizeof ip.ip6_src, (uint32_t)payload + IPPROTO_ICMPV6);
}

size_t packet_write_error(uint8_t *room, const uint8_t *about, size_t length,
                          const struct packet_error *error)
{
    struct icmphdr icmp = {
        .type = error->type, .code = error->code, .un.gateway = htonl(error->rest)};
    size_t header = error->v6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
    size_t most = error->v6 ? V6_ERROR_MAX : V4_ERROR_MAX;
    size_t quoted = size_min(length, most - header - sizeof icmp);
    uint32_t pseudo = 0;

    if (error->v6)
        pseudo = put_header6(room, about, sizeof icmp + quoted);
    else
        put_header4(room, about, sizeof icmp + quoted);
    icmp.checksum = checksum(sum(about, quoted, sum(&icmp, sizeof icmp, pseudo)));
    memcpy(room + header, &icmp, sizeof icmp);
    memcpy(room + header + sizeof icmp, about, quoted);
    return header + sizeof icmp + quoted;
}

bool packet_damage(uint8_t *bytes, size_t length, const struct packet *packet, uint64_t bit,
                   bool mend)
{
    if (packet->data >= length)
        return false;
    size_t at = packet->data + (bit / 8) % (length - packet->data);
    size_t word = packet->transport + (at - packet->transport) / 2 * 2;
    uint8_t *check = bytes + packet->transport +
                     (packet->protocol == IPPROTO_UDP ? offsetof(struct udphdr, check)
                                                      : offsetof(struct tcphdr, check));
    uint8_t pair[2] = {bytes[word], word + 1 < length ? bytes[word + 1] : 0};
    uint16_t before = get16(pair);

    pair[at - word] ^= (uint8_t)(1 << bit % 8);
    bytes[at] = pair[at - word];
    if (mend) { // RFC 1624
        uint16_t mended =
            checksum(sum(pair, sizeof pair, (uint32_t)(uint16_t)~get16(check) + (uint16_t)~before));

        memcpy(check, &mended, sizeof mended);
    }
    return true;
}
