// SPDX-License-Identifier: MIT
// conn_log: what the log tells of single connections, with LOG_DETAIL and LOG_DEBUG.
#pragma once

#include <stddef.h>

#include "transport/connection.h"

// The bytes that a connection takes up: with its peer, where connections are logged, for after a
// reset the kernel names it to nobody any more.
size_t conn_log_room(void);

// Remembers PEER of CONN, which has so much room, if connections are logged.
void conn_log_name(struct conn *conn, const struct address *peer);

// REASON may be NULL.
void conn_log(const struct conn *conn, const char *message, const char *reason);

// Of TURN's reply, SENT bytes have gone out at once.
void conn_log_turn(const struct conn *conn, const struct turn *turn, size_t sent);
