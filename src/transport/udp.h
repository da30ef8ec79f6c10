// SPDX-License-Identifier: MIT
// udp: datagrams in, datagrams out. Nothing is queued: what cannot be sent at once is dropped.
#ifndef UDP_H
#define UDP_H

#include <stdbool.h>

#include "core/options.h"
#include "core/service.h"
#include "ground/list.h"
#include "system/loop.h"

// Datagrams of a socket in one turn: one recvmmsg(2), and one sendmmsg(2) for the answers.
enum { UDP_BATCH_MAX = 64 };

struct udp_batch;

struct udp {
    struct loop *loop;
    const struct options *options;
    struct service *service;
    struct list sockets;
    struct udp_batch *batch; // shared by all sockets, used within one turn
};

// False without memory; udp_finish frees what was taken either way.
bool udp_init(struct udp *udp, struct loop *loop, const struct options *options,
              struct service *service);
void udp_finish(struct udp *udp);

// Serves FD, a bound datagram socket, which belongs to udp from now on. Returns 0, or -1 with errno
// and FD closed.
int udp_serve(struct udp *udp, int fd);

// Logs each socket's address.
void udp_announce(const struct udp *udp);

// Closes the sockets. Used where a set of ports has to be chosen anew.
void udp_close(struct udp *udp);

// The graceful end: answers what has arrived if the sockets are this process's OWN, not passed to
// it, and closes them.
void udp_drain(struct udp *udp, bool own);

#endif
