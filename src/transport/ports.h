// SPDX-License-Identifier: MIT
// ports: the sockets that clients come in by, and who is admitted.
#pragma once

#include <stdbool.h>

#include "core/timeouts.h"
#include "transport/pool.h"
#include "transport/udp.h"

enum {
    PORTS_MAX = 256,           // sockets in all: what 64 --bind and 64 --listen may need
    ACCEPTS_PER_TURN_MAX = 64, // of one listener
};

struct ports {
    struct pool pool;
    struct udp udp;
    struct port port[PORTS_MAX];
    size_t count;
    bool paused;       // listeners are not watched: nobody can be taken in by them
    bool drained;      // the end has come to the connections
    unsigned spread;   // of keepalive: see net_vary_keepalive
    unsigned failures; // of accept4(2) in a row, each a client's own
    ticks retry;       // when to try accepting again, or TICKS_NEVER
    ticks told;        // when the log last told that descriptors had run out
    // When ports for datagrams that are not watched are to be tried again, or TICKS_NEVER; and when
    // the log last told that there were any.
    ticks rest_over, rest_told;
};

// False without memory; ports_finish frees what was taken either way, and closes everything: REASON
// is for the log.
bool ports_init(struct ports *ports, struct loop *loop, const struct options *options,
                struct service *service);
void ports_finish(struct ports *ports, const char *reason);

// Adds FD, a listening socket or a bound one for datagrams, which belongs to ports from now on;
// OWN: opened by this process. Returns 0, or -1 with errno and FD closed; for one more than
// PORTS_MAX with that in the log.
int ports_add(struct ports *ports, struct duty duty, enum protocol protocol, int fd, bool own);

// Adds a port that has no socket, for the sake of connections that have come by one: NULL if there
// are PORTS_MAX. LOCAL was its address.
struct port *ports_add_closed(struct ports *ports, struct duty duty, const struct address *local);

// Forgets the ports that were added from number FIRST on, and closes them. Used where a set of them
// has to be chosen anew.
void ports_forget(struct ports *ports, size_t first);

// Serves all that were added, and logs each one's address: 0, or -1 with errno.
int ports_serve(struct ports *ports);

// Whether there is a port for observers.
bool ports_observe(const struct ports *ports);

// To be called between turns: takes up accepting again when there is room.
void ports_resume(struct ports *ports);

// Ends the connections that are due at NOW, some at a time; and when to be called again.
void ports_expire(struct ports *ports, ticks now);
ticks ports_next(const struct ports *ports);

// The same for delays, in nanoseconds since the loop's start, or LOOP_NEVER.
uint64_t ports_next_at(const struct ports *ports);

// The graceful end: accepts nobody any more, answers what was received, sends what is owed, says
// goodbye. Done when ports_empty. The queue of a socket that is not own is the next process's.
//
// After ports_drain, ports_drain_some is to be called between turns that do not wait as long as it
// is true: it does a part of what is to be done at once.
void ports_drain(struct ports *ports);
bool ports_drain_some(struct ports *ports);
bool ports_empty(const struct ports *ports);
