// SPDX-License-Identifier: MIT
#include "transport/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/net.h"
#include "transport/conn_log.h"

_Static_assert(sizeof(struct conn) <= 56,
               "an idle connection is one cache line with malloc's word");

static void uncount(const struct conn *conn)
{
    struct pool *pool = conn_pool(conn);
    const struct role *role = conn->port->role;

    if (role->admitted) {
        pool->service->counters.connected_tcp--;
        pool->service->counters.closed_tcp[conn->watch.note]++;
    } else if (role->observer) {
        pool->observers--;
    } else {
        pool->busy--;
    }
}

void conn_decide(struct conn *conn, enum closing closing)
{
    if (conn->watch.note == CLOSINGS)
        conn->watch.note = (unsigned)closing & 0xf;
}

// Whichever time runs. CONN is in no list then, and in no heap.
static void stop_time(struct conn *conn)
{
    if (conn_life(conn) == LIFE_WAITING)
        delays_remove(&conn_pool(conn)->delays, &conn->delay);
    else
        timeout_stop(&conn->idle);
}

void conn_close(struct conn *conn, enum closing closing, const char *reason)
{
    struct pool *pool = conn_pool(conn);

    conn_log_closed(conn, closing, reason);
    conn_decide(conn, closing);
    uncount(conn);
    pool->freed = true;
    pool->given_back += sizeof *conn;
    stop_time(conn);
    held_drop(&conn->held, &pool->given_back);
    loop_remove(pool->loop, &conn->watch);
    close(conn->watch.fd); // on Linux the descriptor is free whatever close(2) returns
    free(conn);
}

void conn_time(struct conn *conn)
{
    struct pool *pool = conn_pool(conn);

    timeouts_start(pool_deadline(pool, conn->port->role, conn_life(conn)), &conn->idle,
                   loop_now(pool->loop));
}

void conn_touch(struct conn *conn)
{
    if (conn_pool(conn)->idle.after != TICKS_NEVER && conn->port->role->admitted &&
        conn_life(conn) != LIFE_OPENING)
        conn_time(conn);
}

bool conn_delay(struct conn *conn, uint64_t due)
{
    conn->delay = (struct delay){.place = 0};
    return delays_add(&conn_pool(conn)->delays, &conn->delay, due);
}

// When what CONN waits for is due: at the graceful end, at once, so that it goes out in its order.
static uint64_t due(const struct conn *conn)
{
    const struct pool *pool = conn_pool(conn);

    return loop_clock(pool->loop) +
           (pool_draining(pool) ? 0 : conn->held->wait_ms * UINT64_C(1000000));
}

// CONN begins LIFE. False with errno if the connection is lost.
static bool enter(struct conn *conn, enum life life, struct balance *balance)
{
    struct pool *pool = conn_pool(conn);
    bool waited = conn_life(conn) == LIFE_WAITING;

    if (waited || life == LIFE_WAITING)
        stop_time(conn);
    if (waited)
        timeout_init(&conn->idle);
    conn->watch.state = life & 0xf;
    conn->watch.more = true;
    if (life == LIFE_WAITING)
        return conn_delay(conn, due(conn));
    if (waited || conn->port->role->admitted || life == LIFE_GOODBYE)
        conn_time(conn);
    switch (life) {
    case LIFE_FLUSHING:
        conn_decide(conn, balance->over ? CLOSED_DRAIN : CLOSED_EOF);
        // What the kernel has not sent yet is waited for, without a limit but those of every client
        // that does not read: it would be lost by the end of a goodbye, or with a socket that
        // nobody owns (tcp(7), tcp_orphan_retries).
        held_drop(&conn->held, &pool->given_back);
        balance->flushed = net_all_sent(conn->watch.fd);
        return balance->flushed || net_writable_when_sent(conn->watch.fd) == 0;
    case LIFE_GOODBYE:
        return shutdown(conn->watch.fd, SHUT_WR) == 0;
    default:
        return true;
    }
}

// For the log: NEXT has come behind LIFE, and errno is why if it is none that closes.
static const char *why_closed(enum life life, enum life next, enum outcome outcome)
{
    if (next != LIFE_CLOSED)
        return strerror(errno);
    if (outcome == TURN_RESET)
        return "reset on demand";
    return life == LIFE_GOODBYE ? "goodbye" : "end of input";
}

int conn_await(struct conn *conn)
{
    enum life life = conn_life(conn);
    // With EPOLLIN in the mask, a client that does not read its answers would be reported for as
    // long as it sends.
    uint32_t events = life == LIFE_WRITING || life == LIFE_FLUSHING ? EPOLLOUT
                      : life == LIFE_WAITING                        ? 0
                                                                    : EPOLLIN;

    return loop_change(conn_pool(conn)->loop, &conn->watch, events);
}

bool conn_lead(struct conn *conn, struct balance balance)
{
    enum life life = conn_life(conn), next;

    for (; (next = life_after(life, &balance)) != life; life = next)
        if (next == LIFE_CLOSED || !enter(conn, next, &balance)) {
            if (balance.outcome == TURN_RESET)
                net_reset(conn->watch.fd);
            conn_close(conn, next == LIFE_CLOSED ? CLOSED_EOF : CLOSED_RESET,
                       why_closed(life, next, balance.outcome));
            return false;
        }
    assert(life != LIFE_READING || held_of(conn->held)->sent == held_of(conn->held)->output);
    assert(life != LIFE_WRITING || conn->held);
    if (conn_await(conn) == 0)
        return true;
    conn_close(conn, CLOSED_RESET, strerror(errno));
    return false;
}
