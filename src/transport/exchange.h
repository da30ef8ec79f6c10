// SPDX-License-Identifier: MIT
// exchange: the turns of a TCP connection: bytes from the socket to the role and back.
//
// A connection either waits to read, with nothing unsent, or it waits to write and does not read.
// From that one rule follow bounded memory, backpressure and the order of answers; there is no
// queue. A turn is one recv and one send, and another send before where output was owed, so nobody
// delays the others noticeably. At the graceful end it looks (MSG_PEEK) for more to read as well.
#pragma once

#include "transport/connection.h"

// Takes FD, a connected non-blocking socket that has come in by PORT. It is closed if there is no
// memory for it, or epoll_ctl(2) fails; the log says so. PEER is for the log, and whether
// connections are logged (LOG_DETAIL) must not change as long as there are any.
void exchange_open(struct port *port, int fd, const struct address *peer);

// The same without counting it, or a first turn: NULL with errno, and FD as it was.
struct conn *exchange_create(struct port *port, int fd, const struct address *peer);

// A turn of CONN, for which epoll reports EVENTS, or might. May close CONN.
static inline void exchange_turn(struct conn *conn, uint32_t events)
{
    conn->watch.ready(&conn->watch, events);
}

// CONN has not sent in time what it has begun, or had to begin with: it ends, and is told so if its
// role has a text for that. May close CONN.
void exchange_late(struct conn *conn);

// The time that CONN has waited for has come, or is not waited for any more: it has a turn as soon
// as there is room to send. False if it has been closed instead.
bool exchange_due(struct conn *conn);
