// SPDX-License-Identifier: MIT
// conn_log: what the log tells of single connections, with LOG_DETAIL and LOG_DEBUG.
#pragma once

#include <stddef.h>

#include "transport/connection.h"

// The bytes that a connection takes up: with its peer and its number, where connections are
// logged, for after a reset the kernel names the peer to nobody any more.
size_t conn_log_room(void);

// Remembers PEER of CONN, which has so much room, and numbers it, if connections are logged.
void conn_log_name(struct conn *conn, const struct address *peer);

// The number of CONN in the log; 0 where connections are not logged.
uint64_t conn_log_number(const struct conn *conn);

// CONN, which has come to another process, goes on with the NUMBER that it had there, if it had
// one.
void conn_log_renumber(struct conn *conn, uint64_t number);

// CONN has come, as MESSAGE has it; and it ends by CLOSING, because of REASON.
void conn_log_opened(const struct conn *conn, const char *message);
void conn_log_closed(const struct conn *conn, enum closing closing, const char *reason);

// Of TURN's reply, SENT bytes have gone out at once.
void conn_log_turn(const struct conn *conn, const struct turn *turn, size_t sent);
