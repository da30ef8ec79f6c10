// SPDX-License-Identifier: MIT
// pool: what all connections and datagrams have in common, and the ports that they come in by.
#pragma once

#include <stdbool.h>

#include "core/delays.h"
#include "core/life.h"
#include "core/options.h"
#include "core/service.h"
#include "core/timeouts.h"
#include "roles/role.h"
#include "system/loop.h"
#include "system/process.h"

enum {
    READ_MAX_BYTES = 65536, // of one connection, in one turn
    BUSY_MAX = 256,         // connections that are being told "Server Busy"
    GOODBYE_SECONDS = 2,    // how long a client may take to close after our FIN
    OPENING_SECONDS = 5,    // how long what a connection begins with may take
    OBSERVING_SECONDS = 5,  // the same for an observer's question, and for its goodbye
    OBSERVERS_MAX = 16,     // connections; the oldest makes room
    KEPT_MAX_BYTES = 8192,  // of a header, or an observer's question
    OWING_SECONDS = 60, // how often it is asked whether one that is owed something is still there
    VANISHED_SECONDS = 180,  // without a sign of a client's system, which answers a probe every 120
    GIVE_BACK_BYTES = 65536, // freed: worth a system call, and
    GIVE_BACK_SECONDS = 1,   // so long after the one before
};

struct pool;

// A socket that clients come in by. A port outlives its socket, for the sake of its connections.
struct port {
    struct watch watch; // watch.fd is -1 once the socket is closed
    const struct role *role;
    struct pool *pool;
    struct address local;
    enum protocol protocol;
    bool proxy;    // a connection begins with a PROXY header
    bool own;      // opened by this process: who waits in its queue is a client of this process
    bool watched;  // in the loop
    bool settled;  // who waits in its queue has come since its options were set
    unsigned last; // at the graceful end: so many turns are left for those in its queue
    // Of a port for datagrams:
    unsigned failures; // to take any, one after the other
    unsigned fragment; // see net_fragment
    unsigned fewer;    // messages than UDP_BATCH_MAX in the next turn
    uint32_t lost;     // so far, for want of room: socket(7), SO_RXQ_OVFL
};

struct pool {
    struct loop *loop;
    const struct options *options;
    struct service *service;
    struct timeouts opening;   // those that open
    struct timeouts idle;      // those that read
    struct timeouts owing;     // those that write or flush
    struct timeouts goodbye;   // those that say goodbye, and all that are not admitted
    struct timeouts line;      // the messages that have begun and not ended
    struct timeouts observing; // the observers
    struct delays delays;      // of those that wait for a time of their own, whoever they are
    struct list undrained;     // whoever has a turn yet before the end, and was in one of these
    struct port busy_port;     // has no socket: the connections beyond --max-tcp are its own
    unsigned busy, max_busy;   // these, and how many there may be
    unsigned observers;
    uint64_t logged;               // connections that the log has numbered
    const struct process *process; // for observers
    bool freed;                    // a connection has ended since this was last set to false
    size_t given_back;             // bytes that were held and were freed since the heap was trimmed
    ticks trimmed;                 // when that was
    char *input, *output;          // shared by all connections, used within one turn
};

// False without memory; pool_finish frees what was taken either way.
bool pool_init(struct pool *pool, struct loop *loop, const struct options *options,
               struct service *service);
void pool_finish(struct pool *pool);

// How many bytes there are room for in pool->input.
size_t pool_input_bytes(const struct pool *pool);

// When pool_trim has something to do, or TICKS_NEVER.
ticks pool_trim_due(const struct pool *pool);

// Gives the system back what malloc keeps of memory that was freed: malloc_trim(3), some
// milliseconds for hundreds of megabytes.
void pool_trim(struct pool *pool, ticks now);

// Whether the graceful end is under way.
static inline bool pool_draining(const struct pool *pool)
{
    return pool->service->phase >= PHASE_DRAIN;
}

// What may be told to PEER, who has asked at LOCAL, at this moment.
struct facts pool_facts(struct pool *pool, enum protocol protocol, struct address peer,
                        struct address local);

// The deadlines of the connections of ROLE in that LIFE, which is not LIFE_WAITING.
struct timeouts *pool_deadline(struct pool *pool, const struct role *role, enum life life);
