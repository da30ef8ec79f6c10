// SPDX-License-Identifier: MIT
// busy: tells a client that there is no room for it, and ends.
#include "roles/role.h"

static enum outcome busy_stream(struct memory *memory, struct turn *turn)
{
    struct text text = reply_text(&turn->reply);

    (void)memory;
    text_string(&text, "Server Busy\n");
    reply_add(&turn->reply, &text);
    turn->done = turn->length;
    turn->begun = NOTHING_BEGUN;
    return TURN_CLOSE;
}

const struct role role_busy = {.name = "busy", .stream = busy_stream};
