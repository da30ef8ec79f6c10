// SPDX-License-Identifier: MIT
// listen: which sockets the server listens on, and who opened them.
#ifndef LISTEN_H
#define LISTEN_H

#include "server.h"

// Opens the sockets that the options ask for and hands them to server->tcp and server->udp. Returns
// 0, or -1 with what failed in the log.
int listen_open(struct server *server);

#endif
