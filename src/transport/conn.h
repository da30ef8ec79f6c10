// SPDX-License-Identifier: MIT
// conn: the life of a TCP connection, as life.h has it, and what each one asks of the socket.
#pragma once

#include "transport/connection.h"

// It is counted as CLOSING, unless something before has decided that it ends; REASON is for the
// log. Frees CONN.
void conn_close(struct conn *conn, enum closing closing, const char *reason);

// CONN ends, sooner or later, because of CLOSING, unless that was decided before.
void conn_decide(struct conn *conn, enum closing closing);

// Starts the time that its life has, which is not LIFE_WAITING.
void conn_time(struct conn *conn);

// CONN, whose life is LIFE_WAITING since now, waits until DUE, in nanoseconds of the loop's clock.
// False without memory.
bool conn_delay(struct conn *conn, uint64_t due);

// A byte went one way or the other: the idle time begins anew.
void conn_touch(struct conn *conn);

// Registers what its life waits for, and nothing else: 0, or -1 with errno.
int conn_await(struct conn *conn);

// Leads CONN from life to life until one has to wait, and registers what that one waits for and
// nothing else. False if CONN has been closed.
bool conn_lead(struct conn *conn, struct balance balance);
