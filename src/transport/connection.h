// SPDX-License-Identifier: MIT
// connection: what a TCP connection is, for those who move it (conn), open it and log it.
#pragma once

#include "core/life.h"
#include "core/timeouts.h"
#include "transport/held.h"
#include "transport/pool.h"

// All that an idle connection costs, unless connections are logged: with malloc's word in front,
// one cache line.
struct conn {
    struct watch watch;  // watch.state is its life
    struct timeout idle; // in pool->opening, idle, owing or goodbye, as its life has it
    struct held *held;   // NULL: nothing is pending, unsent or to be remembered
    struct port *port;
};

static inline enum life conn_life(const struct conn *conn)
{
    return conn->watch.state;
}
