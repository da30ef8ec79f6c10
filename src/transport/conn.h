// SPDX-License-Identifier: MIT
// conn: a TCP connection: bytes from the socket to the role's turns and back, as life.h has it.
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
void conn_open(struct port *port, int fd, const struct address *peer);

// REASON is for the log. Frees CONN.
void conn_close(struct conn *conn, const char *reason);

// CONN has not sent in time what it has begun, or had to begin with: it ends, and is told so if its
// role has a text for that. May close CONN.
void conn_late(struct conn *conn);

// A turn of CONN, for which epoll reports EVENTS, or might. May close CONN.
static inline void conn_turn(struct conn *conn, uint32_t events)
{
    conn->watch.ready(&conn->watch, events);
}

// A byte went one way or the other: the idle time begins anew.
void conn_touch(struct conn *conn);
