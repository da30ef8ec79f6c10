// SPDX-License-Identifier: MIT
// raw: every byte comes back as it arrives, and every datagram: RFC 862.
#include "roles/role.h"

static enum outcome raw_stream(struct memory *memory, struct turn *turn)
{
    (void)memory;
    reply_echo(&turn->reply, turn->input, turn->length);
    turn->done = turn->length;
    turn->begun = NOTHING_BEGUN;
    return TURN_MORE;
}

static enum outcome raw_datagram(struct turn *turn)
{
    return raw_stream(NULL, turn);
}

const struct role role_raw = {
    .name = "raw",
    .admitted = true,
    .stream = raw_stream,
    .datagram = raw_datagram,
    .verbatim = true,
};
