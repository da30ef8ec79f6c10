// SPDX-License-Identifier: MIT
// flow: a TCP connection as the kernel sees it, from the client's SYN to the end of the universe.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "expect.h"
#include "fifo.h"
#include "header.h"
#include "roles/role.h"

struct client;
struct listening;

struct flow {
    unsigned number;
    struct flow *next; // in the listener's queue
    uint64_t opened;
    unsigned index; // in flows.held
    int fd;         // the daemon's; -1 before accept4 and after close
    int family;     // of the socket
    struct address peer, local;
    struct client *client;
    const struct role *role; // of the port
    struct header *header; // that it begins with, or something wrong; NULL: nothing before the role

    // The kernel's part.
    struct fifo rx, tx; // to the daemon, to the client
    size_t rx_room, tx_room;
    size_t window;        // tx_room holds what is beyond: the client's system has taken the rest
    bool lowat;           // TCP_NOTSENT_LOWAT is 1: writable means that all is sent
    size_t urgent;        // so many bytes of rx are before the urgent mark; or NO_URGENT
    bool fin_in, fin_out; // the client's, the daemon's
    bool dead;            // reset, timed out, or both sides are closed: nothing moves any more
    bool closed;          // by the daemon
    bool in_flight;       // from one process of the daemon to the next, which has fd or not
    int error;            // waits to be told
    bool lingers;         // SO_LINGER with no time: close(2) resets
    bool no_space;        // SOCK_NOSPACE: somebody waits for room in tx
    uint64_t pressure;    // no memory for tx until then
    bool abandoned;       // the client has closed: the next byte for it is answered with RST

    // The judge's part.
    struct expect expect;
    bool registered;                    // with epoll, so the daemon has taken it in
    bool busy;                          // to be told "Server Busy"
    bool opening;                       // the header has not been read to its end
    bool refused;                       // it is wrong, as far as it has been read
    size_t header_read;                 // bytes
    uint64_t opening_low, opening_high; // when the time for it began
    bool fin_read, error_told;          // to the daemon
    bool fin_peeked;
    unsigned ends;                // recv after FIN was read
    bool excused;                 // an injected fault struck it: it may be closed
    bool must_close;              // and must be
    bool unsent_unknown;          // the daemon was told, wrongly, that all is sent
    bool names_failed;            // getpeername or getsockname
    bool shut;                    // shutdown(SHUT_WR)
    size_t left_behind;           // bytes in rx after the last recv
    bool fin_behind;              // and FIN
    uint64_t read_at;             // when recv was last called
    uint64_t shut_low, shut_high; // when the goodbye began
    uint64_t byte_low, byte_high; // when a byte last moved
    uint64_t owed_until;          // when the daemon last owed something
    uint64_t taken, arrived;      // when the client's system last took and sent bytes
    bool counted;                 // what has gone either way was asked for: it is being closed
    bool silent;                  // the daemon was told that no bytes move any more
    uint64_t asked;               // when it was told that they do, or 0
    uint64_t turn;                // the turn of the counts below
    unsigned recvs, sends;
};

enum { FLOWS_MAX = 1024 };

extern struct flows {
    struct flow *flow[FLOWS_MAX];
    unsigned count;
    struct flow *held[FLOWS_MAX]; // by the daemon, in no order
    unsigned held_count;
} flows;

#define NO_URGENT SIZE_MAX

// A client's connection, which waits to be accepted; NULL if nobody listens. WRITABLE sizes of the
// kernel's buffers.
struct flow *flow_open(struct client *client, const struct address *peer, size_t rx_room,
                       size_t tx_room);
void flow_finish_all(void);

// The client's calls. The number of bytes that went.
size_t flow_client_send(struct flow *flow, const char *bytes, size_t length);
size_t flow_client_recv(struct flow *flow, size_t length);
// A byte out of band, which is not of the stream.
void flow_client_urge(struct flow *flow);
void flow_client_fin(struct flow *flow);
void flow_client_close(struct flow *flow);
// ERROR is what the daemon is told of it.
void flow_reset(struct flow *flow, int error);

// The daemon's calls: a result, or -errno.
void flow_accept(struct flow *flow, int fd);
long flow_recv(struct flow *flow, char *bytes, size_t length, bool cut_short);
long flow_peek(struct flow *flow);
long flow_send(struct flow *flow, const char *bytes, size_t length, bool cut_short);
long flow_shutdown(struct flow *flow);
void flow_close(struct flow *flow);
// No memory for its output for a while.
void flow_press(struct flow *flow);

// Bytes that have not left the daemon's system.
size_t flow_unsent(const struct flow *flow);
bool flow_writable(const struct flow *flow);
uint32_t flow_poll(struct flow *flow);
