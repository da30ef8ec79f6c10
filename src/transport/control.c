// SPDX-License-Identifier: MIT
#include "transport/control.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

enum { DSCP_MASK = 0xfc }; // of the traffic class; the rest is ECN (RFC 2474, RFC 3168)

static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *at)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" // within musl's macro
    return CMSG_NXTHDR(message, at);
#pragma GCC diagnostic pop
}

static void read_v4(const struct cmsghdr *at, struct datagram *datagram)
{
    struct in_pktinfo info;

    if (at->cmsg_type == IP_PKTINFO) {
        memcpy(&info, CMSG_DATA(at), sizeof info);
        datagram->local = address_of_v4(info.ipi_addr);
        // For a broadcast, the kernel names an own address beside the one in the header. For what
        // has waited at a passed socket since before IP_PKTINFO was set, it names none; if that was
        // a broadcast, it lets no answer go out from such an address (EINVAL).
        datagram->to_host = info.ipi_spec_dst.s_addr == info.ipi_addr.s_addr ||
                            info.ipi_spec_dst.s_addr == INADDR_ANY;
    } else if (at->cmsg_type == IP_TTL) {
        memcpy(&datagram->hop_limit, CMSG_DATA(at), sizeof datagram->hop_limit);
    } else if (at->cmsg_type == IP_TOS) { // a single byte, where IPv6 has an int
        datagram->dscp = *CMSG_DATA(at) & DSCP_MASK;
    }
}

static void read_v6(const struct cmsghdr *at, struct datagram *datagram)
{
    struct in6_pktinfo info;

    // What came by IPv4 has its own beside it.
    if (at->cmsg_type == IPV6_PKTINFO && !address_is_v4(&datagram->peer)) {
        memcpy(&info, CMSG_DATA(at), sizeof info);
        datagram->local.ip = info.ipi6_addr;
        datagram->local.scope =
            IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? (uint32_t)info.ipi6_ifindex : 0;
        datagram->to_host = true;
    } else if (at->cmsg_type == IPV6_HOPLIMIT) {
        memcpy(&datagram->hop_limit, CMSG_DATA(at), sizeof datagram->hop_limit);
    } else if (at->cmsg_type == IPV6_TCLASS) {
        memcpy(&datagram->dscp, CMSG_DATA(at), sizeof datagram->dscp);
        datagram->dscp &= DSCP_MASK;
    } else if (at->cmsg_type == IPV6_RECVFRAGSIZE) {
        memcpy(&datagram->fragment, CMSG_DATA(at), sizeof datagram->fragment);
    }
}

void control_read(struct msghdr *message, struct datagram *datagram)
{
    int segment;

    // uncovered: the test is CMSG_FIRSTHDR's own, for messages without control data. Linux always
    // gives what was asked for.
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = next_control(message, at)) {
        if (at->cmsg_level == IPPROTO_IP) {
            read_v4(at, datagram);
        } else if (at->cmsg_level == IPPROTO_IPV6) {
            read_v6(at, datagram);
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&datagram->lost, CMSG_DATA(at), sizeof datagram->lost);
        } else if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
            memcpy(&segment, CMSG_DATA(at), sizeof segment);
            datagram->segment = segment > 0 ? (size_t)segment : 0;
        }
    }
}

static void put(struct msghdr *message, int level, int type, const void *data, size_t length)
{
    char *end = (char *)message->msg_control + message->msg_controllen;
    struct cmsghdr *at = (struct cmsghdr *)(void *)end;

    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = (socklen_t)CMSG_LEN(length);
    memcpy(CMSG_DATA(at), data, length);
    message->msg_controllen += (socklen_t)CMSG_SPACE(length); // musl: not a size_t
}

void control_write(const struct datagram *datagram, struct control *control, struct msghdr *message)
{
    int hop_limit = datagram->hop_limit - 1;

    message->msg_control = control;
    if (address_is_v4(&datagram->local)) {
        struct in_pktinfo v4 = {.ipi_spec_dst = address_v4(&datagram->local)};

        put(message, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
        put(message, IPPROTO_IP, IP_TTL, &hop_limit, sizeof hop_limit);
        if (datagram->dscp >= 0)
            put(message, IPPROTO_IP, IP_TOS, &datagram->dscp, sizeof datagram->dscp);
    } else {
        struct in6_pktinfo v6 = {.ipi6_addr = datagram->local.ip,
                                 .ipi6_ifindex = datagram->local.scope};

        put(message, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
        put(message, IPPROTO_IPV6, IPV6_HOPLIMIT, &hop_limit, sizeof hop_limit);
        if (datagram->dscp >= 0)
            put(message, IPPROTO_IPV6, IPV6_TCLASS, &datagram->dscp, sizeof datagram->dscp);
    }
}

void control_cut(struct msghdr *message, uint16_t segment)
{
    put(message, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
}

void control_join(struct msghdr *message)
{
    message->msg_controllen -= (socklen_t)CMSG_SPACE(sizeof(uint16_t));
}
