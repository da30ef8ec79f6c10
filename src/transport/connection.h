// SPDX-License-Identifier: MIT
// connection: what is known of a TCP connection, as a value. conn.h and exchange.h have what is
// done with it.
#pragma once

#include "core/delays.h"
#include "core/life.h"
#include "core/timeouts.h"
#include "transport/held.h"
#include "transport/pool.h"

// All that an idle connection costs, unless connections are logged: with malloc's word in front,
// one cache line.
struct conn {
    struct watch watch; // watch.state is its life; watch.note an enum closing, once that is decided
    union {
        struct timeout idle; // in pool->opening, idle, owing, observing or goodbye
        struct delay delay;  // while it waits for a time, which no other time runs beside
    };
    struct held *held; // NULL: nothing is pending, unsent or to be remembered
    struct port *port;
};

static inline enum life conn_life(const struct conn *conn)
{
    return conn->watch.state;
}

static inline struct pool *conn_pool(const struct conn *conn)
{
    return conn->port->pool;
}
