// SPDX-License-Identifier: MIT
#include "core/guard.h"

#include <string.h>

bool guard_accepts_addresses(const struct datagram *datagram, uint16_t own_port)
{
    const struct address *peer = &datagram->peer;

    return peer->port >= GUARD_LOWEST_PORT && peer->port != own_port && !address_is_no_host(peer) &&
           datagram->to_host && !address_is_no_host(&datagram->local);
}

bool guard_accepts_content(const struct datagram *datagram)
{
    static const char error[] = "ERR ";
    size_t length = sizeof error - 1;

    return datagram->hop_limit > 1 &&
           (datagram->held < length || memcmp(datagram->bytes, error, length) != 0);
}
