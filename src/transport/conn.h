// SPDX-License-Identifier: MIT
// conn: a TCP connection.
//
// A connection either waits to read, with nothing unsent, or it waits to write and does not read.
// From that one rule follow bounded memory, backpressure and the order of answers; there is no
// queue. A turn is one recv and one send at most, so nobody delays the others noticeably.
#ifndef CONN_H
#define CONN_H

#include "core/timeouts.h"
#include "system/loop.h"
#include "transport/tcp.h"

struct held;

// All that an idle connection costs: with malloc's word in front, one cache line.
struct conn {
    struct watch watch;
    struct timeout idle; // in tcp->idle or in tcp->goodbye
    struct held *held; // an unfinished line, unsent output, or a state out of the ordinary; or NULL
    struct tcp *tcp;
};

// Takes FD, a connected non-blocking socket, which is closed if there is no memory for it.
// ADMITTED: served; otherwise it is told "Server Busy" and let go.
void conn_open(struct tcp *tcp, int fd, bool admitted);

// REASON is for the log. Frees CONN.
void conn_close(struct conn *conn, const char *reason);

// The time of the connection's line, or of the connection, is over.
void conn_line_over(struct timeout *line);
void conn_idle_over(struct timeout *idle);

// One turn of a connection that is asked to end: see tcp_drain.
void conn_drain(struct conn *conn);

#endif
