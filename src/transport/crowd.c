// SPDX-License-Identifier: MIT
#include "transport/crowd.h"

#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"

static void line_over(struct timeout *timeout)
{
    conn_close(container_of(timeout, struct held, line)->conn, "line timeout");
}

static void idle_over(struct timeout *timeout)
{
    struct conn *conn = container_of(timeout, struct conn, idle);
    unsigned seconds = conn->port->pool->options->idle_timeout;
    uint64_t allowed = (uint64_t)seconds * 1000 - TICK_MILLISECONDS;

    // A slow reader is not idle: bytes that the kernel sends for us are bytes too. It counts up to
    // 49 days and begins anew; over a longer time, only what passed through our hands is known.
    if (allowed < UINT32_MAX && net_silent_milliseconds(conn->watch.fd) < allowed)
        conn_touch(conn);
    else
        conn_close(conn, "idle timeout");
}

static void goodbye_over(struct timeout *timeout)
{
    conn_close(container_of(timeout, struct conn, idle), "goodbye timeout");
}

static void expire(struct timeouts *timeouts, ticks now, void (*over)(struct timeout *timeout))
{
    struct timeout *timeout;

    for (int i = 0; i < EXPIRED_PER_TURN_MAX && (timeout = timeouts_due(timeouts, now)); i++)
        over(timeout);
}

void crowd_expire(struct pool *pool, ticks now)
{
    expire(&pool->line, now, line_over);
    expire(&pool->idle, now, idle_over);
    expire(&pool->goodbye, now, goodbye_over);
    if (pool_trim_due(pool) <= now)
        pool_trim(pool, now);
}

ticks crowd_next(const struct pool *pool)
{
    ticks message = ticks_sooner(timeouts_next(&pool->line), timeouts_next(&pool->idle));

    return ticks_sooner(ticks_sooner(message, timeouts_next(&pool->goodbye)), pool_trim_due(pool));
}

static struct conn *first(const struct list *list)
{
    return container_of(list->next, struct conn, idle.link);
}

void crowd_drain(struct pool *pool)
{
    struct list all;

    // Each has one turn now, even if it goes back into its list as the last.
    list_move_all(&all, &pool->idle.list);
    while (!list_empty(&all)) {
        struct conn *conn = first(&all);

        timeouts_start(&pool->idle, &conn->idle, loop_now(pool->loop));
        if (conn_life(conn) == LIFE_READING)
            conn_read(conn);
    }
}

void crowd_close(struct pool *pool, const char *reason)
{
    while (!list_empty(&pool->idle.list))
        conn_close(first(&pool->idle.list), reason);
    while (!list_empty(&pool->goodbye.list))
        conn_close(first(&pool->goodbye.list), reason);
}
