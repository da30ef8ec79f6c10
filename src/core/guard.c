// SPDX-License-Identifier: MIT
#include "core/guard.h"

#include <string.h>

enum { END_BYTES = 16 };

void guard_add_port(struct guard_ports *ports, uint16_t port)
{
    ports->own[port / 64] |= (uint64_t)1 << port % 64;
}

static bool is_own(const struct guard_ports *ports, uint16_t port)
{
    return ports->own[port / 64] >> port % 64 & 1;
}

enum drop guard_addresses(const struct datagram *datagram, const struct guard_ports *ports)
{
    const struct address *peer = &datagram->peer;

    if (peer->port < GUARD_LOWEST_PORT || is_own(ports, peer->port))
        return DROP_PORT;
    if (address_is_no_host(peer) || !datagram->to_host || address_is_no_host(&datagram->local))
        return DROP_MULTICAST;
    return DROP_NONE;
}

enum drop guard_content(const struct datagram *datagram, bool any_content)
{
    static const char error[] = "ERR ";
    size_t length = sizeof error - 1;

    if (datagram->hop_limit <= 1)
        return DROP_HOP_LIMIT;
    if (!any_content && datagram->held >= length && memcmp(datagram->bytes, error, length) == 0)
        return DROP_ERROR_TEXT;
    return DROP_NONE;
}

uint32_t guard_digest(const struct datagram *datagram)
{
    uint64_t word[2 * END_BYTES / sizeof(uint64_t)] = {0}, digest = datagram->length;

    if (datagram->held >= END_BYTES) {
        memcpy(word, datagram->bytes, END_BYTES);
        memcpy((char *)word + END_BYTES, datagram->bytes + datagram->held - END_BYTES, END_BYTES);
    } else if (datagram->held > 0) {
        memcpy(word, datagram->bytes, datagram->held);
    }
    for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
        digest = (digest ^ word[i]) * 0x9e3779b97f4a7c15; // odd, and its bits are well mixed
        digest ^= digest >> 32;
    }
    return (uint32_t)digest;
}
