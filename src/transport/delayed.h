// SPDX-License-Identifier: MIT
// delayed: answers by UDP that go out later. There is room for so many and no more: of one too
// many, the one that would wait longest is dropped, so that nobody keeps out those who wait for
// less.
#pragma once

#include <sys/socket.h>

#include "core/delays.h"
#include "transport/pool.h"

enum { DELAYED_MAX = 1024, DELAYED_MAX_BYTES = 4 << 20 };

// An answer with all that goes out with it.
struct delayed {
    struct delay delay;
    struct port *port;
    struct sockaddr_storage to;
    socklen_t to_length, control_length;
    size_t length;
    char bytes[]; // the control data, then the answer
};

struct delayed_all {
    struct delays delays;
    size_t bytes; // of the answers
};

// All zero is nothing; this frees what waits.
void delayed_finish(struct delayed_all *all);

// Keeps a copy of MESSAGE, an answer of PORT's, until DUE. The number of answers that are dropped
// for it, itself perhaps.
unsigned delayed_keep(struct delayed_all *all, struct port *port, const struct msghdr *message,
                      uint64_t due);

// One that is due at NOW, which is the caller's to free from now on; or NULL.
struct delayed *delayed_take(struct delayed_all *all, uint64_t now);
