// SPDX-License-Identifier: MIT
// Any datagram: the guard accepts none that could be turned against somebody, whatever the kernel
// tells about it.
#include "fuzz.h"

#include "core/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {data, size};
    struct datagram datagram = {.to_host = fuzz_byte(&fuzz) & 1};
    uint16_t own_port;
    uint8_t hops[2];

    fuzz_fill(&fuzz, &datagram.peer, sizeof datagram.peer);
    fuzz_fill(&fuzz, &datagram.local, sizeof datagram.local);
    fuzz_fill(&fuzz, &own_port, sizeof own_port);
    fuzz_fill(&fuzz, hops, sizeof hops);
    datagram.hop_limit = hops[0] % 4 == 3 ? -hops[1] : hops[1];
    datagram.held = datagram.length = fuzz.left;
    datagram.truncated = hops[0] & 4;
    if (datagram.truncated)
        datagram.length += 1000;
    char *bytes = malloc(fuzz.left + 1); // a byte too far is seen: one byte in front is not used
    if (!bytes)
        abort();
    memcpy(bytes + 1, fuzz.at, fuzz.left);
    datagram.bytes = bytes + 1;

    static struct guard_ports ports;
    guard_add_port(&ports, own_port);
    bool host = (guard_addresses(&datagram, &ports) == DROP_NONE);
    ports.own[own_port / 64] = 0;
    fuzz_must(!host || (datagram.peer.port >= 1024 && datagram.peer.port != own_port));
    fuzz_must(!host || (datagram.to_host && !address_is_no_host(&datagram.peer) &&
                        !address_is_no_host(&datagram.local)));
    bool content = (guard_content(&datagram, false) == DROP_NONE);
    bool error = fuzz.left >= 4 && memcmp(fuzz.at, "ERR ", 4) == 0;
    fuzz_must(content == (datagram.hop_limit > 1 && !error));
    guard_digest(&datagram);
    free(bytes);
    return 0;
}
