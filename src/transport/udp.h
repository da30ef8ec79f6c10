// SPDX-License-Identifier: MIT
// udp: datagrams to turns and back. What cannot be sent at once is
// dropped; what is to be sent later has bounded room.
#pragma once

#include <stdbool.h>

#include "transport/delayed.h"
#include "transport/pool.h"

enum {
    // Messages of a socket in one turn: one recvmmsg(2), and one sendmmsg(2); further ones for what
    // is left where that has stopped at an answer that cannot be sent, and where messages that are
    // several datagrams have more answers than that. Where such come, there are fewer in the next.
    UDP_BATCH_MAX = 64,
    UDP_LAST_TURNS = 256, // for those that have arrived before the end
};

struct udp_batch;

struct udp {
    struct pool *pool;
    struct udp_batch *batch; // shared by all sockets, used within one turn
    struct delayed_all delayed;
    ticks told; // when the log last told that answers are lost
};

// False without memory; udp_finish frees what was taken either way.
bool udp_init(struct udp *udp, struct pool *pool);
void udp_finish(struct udp *udp);

// One turn of a socket that is readable: 0, or errno where nothing could be taken.
int udp_ready(struct udp *udp, struct port *port);

// One turn: the number of messages that came, or -1 with errno.
int udp_turn(struct udp *udp, struct port *port);

// Sends the delayed answers that are due at NOW, in nanoseconds since the loop's start, some at a
// time.
void udp_wake(struct udp *udp, uint64_t now);
