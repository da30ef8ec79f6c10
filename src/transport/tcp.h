// SPDX-License-Identifier: MIT
// tcp: the listeners, and who is admitted. Connections themselves are in conn.
#ifndef TCP_H
#define TCP_H

#include <stdbool.h>

#include "core/options.h"
#include "core/service.h"
#include "core/timeouts.h"
#include "ground/list.h"
#include "system/loop.h"

enum {
    READ_MAX_BYTES = 65536,    // of one connection, in one turn
    LONG_TURN_BYTES = 16384,   // of input: next time, the turns of others come before
    ACCEPTS_PER_TURN_MAX = 64, // of one listener
    BUSY_MAX = 256,            // connections that are being told "Server Busy"
    EXPIRED_PER_TURN_MAX = 64,
    GOODBYE_SECONDS = 2, // how long a client may take to close after our FIN
};

struct tcp {
    struct loop *loop;
    const struct options *options;
    struct service *service;
    struct list listeners;
    struct timeouts idle; // every admitted connection but those in `goodbye`
    struct timeouts line;
    struct timeouts goodbye;
    unsigned busy, max_busy; // connections beyond --max-tcp that are being told so
    bool paused;             // the listeners are not watched: nobody can be taken in
    bool freed;              // a connection has ended since
    bool draining;
    ticks retry;          // when to try accepting again, or TICKS_NEVER
    ticks told;           // when the log last told that descriptors had run out
    char *input, *output; // shared by all connections, used within one turn
};

// False without memory; tcp_finish frees what was taken either way.
bool tcp_init(struct tcp *tcp, struct loop *loop, const struct options *options,
              struct service *service);

// Closes everything.
void tcp_finish(struct tcp *tcp);

// Serves the connections of FD, a listening socket, which belongs to tcp from now on. Returns 0, or
// -1 with errno and FD closed.
int tcp_listen(struct tcp *tcp, int fd);

// Logs each listener's address.
void tcp_announce(const struct tcp *tcp);

// Closes the listeners. Used where a set of ports has to be chosen anew.
void tcp_unlisten(struct tcp *tcp);

// To be called between turns: takes up accepting again when there is room.
void tcp_resume(struct tcp *tcp);

// Ends what is due at NOW, at most EXPIRED_PER_TURN_MAX connections of each kind.
void tcp_expire(struct tcp *tcp, ticks now);
ticks tcp_next(const struct tcp *tcp);

// The graceful end: accepts nobody any more, answers what was received, sends what is owed, says
// goodbye. Done when tcp_empty. OWN: the listeners were opened by this process, so that those who
// wait in their queues are its clients; the queue of a passed one is the next process's.
void tcp_drain(struct tcp *tcp, bool own);
bool tcp_empty(const struct tcp *tcp);

#endif
