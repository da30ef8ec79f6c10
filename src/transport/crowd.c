// SPDX-License-Identifier: MIT
#include "transport/crowd.h"

#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/exchange.h"

static struct conn *conn_of(struct list *link)
{
    return container_of(link, struct conn, idle.link);
}

// A turn of what is due. Whether that is still so afterwards: else it may be gone.
static bool still_due(const struct timeouts *timeouts, const struct timeout *timeout,
                      struct conn *conn, ticks now)
{
    exchange_turn(conn, EPOLLIN);
    return timeouts_due(timeouts, now) == timeout;
}

static void line_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = container_of(timeout, struct begun, line)->conn;

    if (still_due(&pool->line, timeout, conn, now))
        exchange_late(conn);
}

// Whether no byte has moved for too long. A slow reader is not idle: bytes that the kernel sends
// for us are bytes too. It counts up to 49 days and begins anew; over a longer time it is as OURS
// says, by what passed through our hands.
static bool idle(const struct conn *conn, bool ours)
{
    uint64_t seconds = conn->port->pool->options->idle_timeout;
    uint64_t allowed = seconds * 1000 - TICK_MILLISECONDS;

    if (seconds == 0)
        return false;
    return allowed < UINT32_MAX ? net_silent_milliseconds(conn->watch.fd) >= allowed : ours;
}

static void idle_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = conn_of(&timeout->link);

    if (!idle(conn, true))
        conn_touch(conn);
    else if (still_due(&pool->idle, timeout, conn, now))
        conn_close(conn, CLOSED_IDLE, "idle timeout");
}

// TCP's keepalive rests while there is something to be sent, and sends it again for a quarter of an
// hour and more. A client that does not read is not gone: its system answers probes of its window.
static void owing_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = conn_of(&timeout->link);

    if (net_unheard_milliseconds(conn->watch.fd) >= VANISHED_SECONDS * UINT32_C(1000))
        conn_close(conn, CLOSED_RESET, "vanished");
    else if (idle(conn, false))
        conn_close(conn, CLOSED_IDLE, "idle timeout");
    else
        timeouts_start(&pool->owing, timeout, now);
}

static void opening_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = conn_of(&timeout->link);

    if (still_due(&pool->opening, timeout, conn, now))
        exchange_late(conn);
}

static void observing_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = conn_of(&timeout->link);
    bool asks = conn_life(conn) == LIFE_OPENING || conn_life(conn) == LIFE_READING;

    if (!still_due(&pool->observing, timeout, conn, now))
        return;
    if (asks)
        exchange_late(conn);
    else
        conn_close(conn, CLOSED_EOF, "observer timeout");
}

static void goodbye_over(struct pool *pool, struct timeout *timeout, ticks now)
{
    struct conn *conn = conn_of(&timeout->link);

    if (still_due(&pool->goodbye, timeout, conn, now))
        conn_close(conn, CLOSED_EOF, "goodbye timeout");
}

static void expire(struct pool *pool, struct timeouts *timeouts, ticks now,
                   void (*over)(struct pool *pool, struct timeout *timeout, ticks now))
{
    struct timeout *timeout;

    for (int i = 0; i < CROWD_PER_TURN_MAX && (timeout = timeouts_due(timeouts, now)); i++)
        over(pool, timeout, now);
}

void crowd_expire(struct pool *pool, ticks now)
{
    expire(pool, &pool->line, now, line_over);
    expire(pool, &pool->opening, now, opening_over);
    expire(pool, &pool->idle, now, idle_over);
    expire(pool, &pool->observing, now, observing_over);
    expire(pool, &pool->owing, now, owing_over);
    expire(pool, &pool->goodbye, now, goodbye_over);
    if (pool_trim_due(pool) <= now)
        pool_trim(pool, now);
}

void crowd_wake(struct pool *pool, uint64_t now)
{
    struct delay *delay;

    for (int i = 0; i < CROWD_PER_TURN_MAX && (delay = delays_due(&pool->delays, now)); i++)
        exchange_due(container_of(delay, struct conn, delay));
}

ticks crowd_next(const struct pool *pool)
{
    ticks due = ticks_sooner(timeouts_next(&pool->line), timeouts_next(&pool->idle));

    due = ticks_sooner(due, timeouts_next(&pool->opening));
    due = ticks_sooner(due, timeouts_next(&pool->observing));
    due = ticks_sooner(due, timeouts_next(&pool->owing));
    return ticks_sooner(ticks_sooner(due, timeouts_next(&pool->goodbye)), pool_trim_due(pool));
}

void crowd_drain(struct pool *pool)
{
    struct delay *delay;

    list_move_all(&pool->undrained, &pool->idle.list);
    list_move_all(&pool->undrained, &pool->opening.list);
    list_move_all(&pool->undrained, &pool->observing.list);
    while ((delay = delays_due(&pool->delays, DELAYS_NEVER))) {
        struct conn *conn = container_of(delay, struct conn, delay);

        if (!exchange_due(conn))
            continue;
        list_remove(&conn->idle.link);
        list_append(&pool->undrained, &conn->idle.link);
    }
}

bool crowd_drain_some(struct pool *pool)
{
    for (int i = 0; i < CROWD_PER_TURN_MAX && !list_empty(&pool->undrained); i++) {
        struct conn *conn = conn_of(pool->undrained.next);

        conn_time(conn);
        exchange_turn(conn, EPOLLIN);
    }
    return !list_empty(&pool->undrained);
}

static void close_all(struct list *list, const char *reason)
{
    while (!list_empty(list))
        conn_close(conn_of(list->next), CLOSED_DRAIN, reason);
}

void crowd_close(struct pool *pool, const char *reason)
{
    struct delay *delay;

    close_all(&pool->undrained, reason);
    close_all(&pool->opening.list, reason);
    close_all(&pool->observing.list, reason);
    close_all(&pool->idle.list, reason);
    close_all(&pool->owing.list, reason);
    close_all(&pool->goodbye.list, reason);
    while ((delay = delays_due(&pool->delays, DELAYS_NEVER)))
        conn_close(container_of(delay, struct conn, delay), CLOSED_DRAIN, reason);
}

void crowd_make_room(struct pool *pool)
{
    const struct list *all = &pool->observing.list;

    if (pool->observers >= OBSERVERS_MAX && !list_empty(all))
        conn_close(conn_of(all->next), CLOSED_EOF, "another observer");
}
