// SPDX-License-Identifier: MIT
// discard: whatever comes is thrown away, and nothing is answered: RFC 863.
#include "roles/role.h"

static enum outcome discard_stream(struct memory *memory, struct turn *turn)
{
    (void)memory;
    turn->done = turn->length;
    turn->begun = NOTHING_BEGUN;
    return TURN_MORE;
}

static enum outcome discard_datagram(struct turn *turn)
{
    turn->done = turn->length;
    return TURN_SILENT;
}

const struct role role_discard = {
    .name = "discard",
    .admitted = true,
    .stream = discard_stream,
    .datagram = discard_datagram,
    .blind = true,
};
