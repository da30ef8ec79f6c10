// SPDX-License-Identifier: MIT
#include "transport/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"

_Static_assert(sizeof(struct conn) <= 56,
               "an idle connection is one cache line with malloc's word");

static struct pool *pool_of(const struct conn *conn)
{
    return conn->port->pool;
}

// What every connection is where connections are logged: after a reset the kernel names its peer to
// nobody any more.
struct named {
    struct conn conn;
    struct address peer;
};

static void log_conn(const struct conn *conn, const char *message, const char *reason)
{
    if (log_enabled(LOG_DETAIL))
        log_limited(LOG_DETAIL, message, LOG_TEXT("proto", "tcp"),
                    LOG_TEXT("peer", ADDRESS_STRING(&((const struct named *)conn)->peer)),
                    LOG_NUMBER("fd", conn->watch.fd), LOG_TEXT("reason", reason));
}

void conn_close(struct conn *conn, const char *reason)
{
    struct pool *pool = pool_of(conn);

    log_conn(conn, "closed", reason);
    if (conn->port->role->admitted)
        pool->service->counters.connected_tcp--;
    else
        pool->busy--;
    pool->freed = true;
    pool->given_back += sizeof *conn;
    timeout_stop(&conn->idle);
    held_drop(&conn->held, &pool_of(conn)->given_back);
    loop_remove(pool->loop, &conn->watch);
    close(conn->watch.fd); // on Linux the descriptor is free whatever close(2) returns
    free(conn);
}

static struct timeouts *deadline_of(const struct conn *conn)
{
    return pool_deadline(pool_of(conn), conn->port->role, conn_life(conn));
}

void conn_touch(struct conn *conn)
{
    struct pool *pool = pool_of(conn);

    if (pool->idle.after != TICKS_NEVER && conn->port->role->admitted)
        timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool->loop));
}

// CONN begins LIFE. False with errno if the connection is lost.
static bool enter(struct conn *conn, enum life life, struct balance *balance)
{
    conn->watch.state = (uint8_t)life;
    conn->watch.more = true;
    if (conn->port->role->admitted || life == LIFE_GOODBYE)
        timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool_of(conn)->loop));
    switch (life) {
    case LIFE_FLUSHING:
        // What the kernel has not sent yet is waited for, without a limit but those of every client
        // that does not read: it would be lost by the end of a goodbye, or with a socket that
        // nobody owns (tcp(7), tcp_orphan_retries).
        held_drop(&conn->held, &pool_of(conn)->given_back);
        balance->flushed = net_unsent(conn->watch.fd) == 0;
        return balance->flushed || net_writable_when_sent(conn->watch.fd) == 0;
    case LIFE_GOODBYE:
        return shutdown(conn->watch.fd, SHUT_WR) == 0;
    default:
        return true;
    }
}

// Leads CONN from life to life until one has to wait, and registers what that one waits for and
// nothing else: with EPOLLIN in the mask, a client that does not read its answers would be reported
// for as long as it sends. May close CONN.
static void lead(struct conn *conn, struct balance balance)
{
    enum life life = conn_life(conn), next;

    for (; (next = life_after(life, &balance)) != life; life = next)
        if (next == LIFE_CLOSED || !enter(conn, next, &balance)) {
            conn_close(conn, next != LIFE_CLOSED    ? strerror(errno)
                             : life == LIFE_GOODBYE ? "goodbye"
                                                    : "end of input");
            return;
        }
    assert(life != LIFE_READING || held_of(conn->held)->sent == held_of(conn->held)->output);
    assert(life != LIFE_WRITING || conn->held);
    uint32_t waits_for = life == LIFE_READING || life == LIFE_GOODBYE ? EPOLLIN : EPOLLOUT;
    if (loop_change(pool_of(conn)->loop, &conn->watch, waits_for) < 0)
        conn_close(conn, strerror(errno));
}

// Sends what goes without waiting: the number of bytes, or -1 with errno if the connection is lost.
static ssize_t send_some(struct conn *conn, const char *bytes, size_t length)
{
    if (length == 0)
        return 0;
    ssize_t sent = send(conn->watch.fd, bytes, length, MSG_NOSIGNAL);
    if (sent > 0)
        conn_touch(conn);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void time_message(struct conn *conn, const struct turn *turn)
{
    struct pool *pool = pool_of(conn);
    struct held *held = conn->held;

    if (!held)
        return;
    // Who is owed something is not waited for.
    if (held->output > 0 || held->outcome != TURN_MORE || turn->begun == NOTHING_BEGUN)
        timeout_stop(&held->line);
    else if (!timeout_running(&held->line) || turn->begun > 0) // not the message of before
        timeouts_start(&pool->line, &held->line, loop_now(pool->loop));
}

static void log_turn(const struct conn *conn, const struct turn *turn, size_t sent)
{
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", LOG_TEXT("proto", "tcp"), LOG_NUMBER("fd", conn->watch.fd),
                    LOG_NUMBER("input", turn->length),
                    LOG_NUMBER("unanswered", turn->length - turn->done),
                    LOG_NUMBER("answer", turn->reply.length), LOG_NUMBER("sent", sent));
}

static struct balance balance_of(const struct conn *conn, enum outcome outcome, bool unsent)
{
    return (struct balance){.outcome = outcome,
                            .unsent = unsent,
                            .over = pool_draining(pool_of(conn)) && net_peek(conn->watch.fd) < 0};
}

// Sends what goes of TURN's reply, which becomes the rest. False if the connection is lost: it has
// been closed then.
static bool send_reply(struct conn *conn, struct turn *turn)
{
    ssize_t sent = send_some(conn, turn->reply.bytes, turn->reply.length);

    if (sent < 0) {
        conn_close(conn, strerror(errno));
        return false;
    }
    log_turn(conn, turn, (size_t)sent);
    turn->reply.bytes += sent;
    turn->reply.length -= (size_t)sent;
    // A text costs as much as some hundred bytes, however short it is.
    loop_spent(pool_of(conn)->loop, &conn->watch,
               turn->length + (size_t)sent + turn->reply.texts * TURN_TEXT_MAX_BYTES);
    return true;
}

// Has the role answer the LENGTH bytes in pool->input, and sends its reply. ENDED: FIN has come.
static void answer(struct conn *conn, size_t length, bool ended)
{
    struct pool *pool = pool_of(conn);
    struct turn turn = {.input = pool->input,
                        .length = length,
                        .ended = ended,
                        .max_line = pool->options->max_line,
                        .reply.buffer = pool->output};
    struct memory memory = held_of(conn->held)->memory;
    struct facts facts;
    enum outcome outcome;

    while ((outcome = conn->port->role->stream(&memory, &turn)) == TURN_FACTS) {
        facts = pool_facts(pool, PROTOCOL_TCP, net_peer(conn->watch.fd), net_local(conn->watch.fd));
        turn.facts = &facts;
    }
    bool within = turn_within_bounds(&turn, outcome);
    assert(within);
    // uncovered: only a fault of a role's leaves so much behind that the next read would go beyond
    // the buffer.
    if (!within) {
        conn_close(conn, "role error");
        return;
    }
    if (!send_reply(conn, &turn))
        return;
    if (!held_keep(&conn->held, conn, &pool->given_back, &memory, &turn, outcome)) {
        conn_close(conn, "no memory");
        return;
    }
    time_message(conn, &turn);
    struct balance balance = balance_of(conn, outcome, turn.reply.length > 0);
    balance.ended = ended;
    lead(conn, balance);
}

// If the GOT bytes at FRESH end nothing, adds them to what is pending. Before that, no output
// stands while the connection reads.
static bool lengthen(struct conn *conn, const char *fresh, size_t got)
{
    const struct role *role = conn->port->role;
    size_t most = pool_of(conn)->options->max_line;
    struct held *held = conn->held;

    if (conn_life(conn) != LIFE_READING || held_of(conn->held)->input == 0 || !role->pends ||
        held->input + got > most || !role->pends(fresh, got, held->input, most) ||
        !held_reserve(&conn->held, conn, &pool_of(conn)->given_back, held->input + got))
        return false;
    memcpy(held->bytes + held->input, fresh, got);
    held->input += got;
    return true;
}

static void conn_read(struct conn *conn)
{
    char *input = pool_of(conn)->input;
    size_t before = held_of(conn->held)->input;
    ssize_t got = recv(conn->watch.fd, input + before, READ_MAX_BYTES, 0);
    size_t fresh = got > 0 ? (size_t)got : 0;

    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(conn, strerror(errno));
        return;
    }
    if (got < 0 || got == READ_MAX_BYTES)
        conn->watch.more = got > 0 || errno == EINTR;
    if (fresh > 0)
        conn_touch(conn);
    if (fresh > 0 && lengthen(conn, input + before, fresh)) {
        lead(conn, balance_of(conn, TURN_MORE, false));
        return;
    }
    if (before > 0)
        memcpy(input, conn->held->bytes + conn->held->output, before);
    answer(conn, before + fresh, got == 0);
}

static void write_turn(struct conn *conn)
{
    struct held *held = conn->held;
    ssize_t sent = send_some(conn, held->bytes + held->sent, held->output - held->sent);

    if (sent < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    held->sent += (size_t)sent;
    bool unsent = held->sent < held->output;
    if (unsent || held->outcome == TURN_CLOSE) {
        lead(conn, (struct balance){.outcome = held->outcome, .unsent = unsent});
    } else if (held->outcome == TURN_AGAIN) {
        memcpy(pool_of(conn)->input, held->bytes + held->output, held->input);
        answer(conn, held->input, false);
    } else {
        conn_read(conn);
    }
}

static void flush_turn(struct conn *conn, uint32_t events)
{
    // Another event is from before the connection began to flush.
    bool flushed = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);

    lead(conn,
         (struct balance){.flushed = flushed, .ended = flushed && net_peek(conn->watch.fd) == 0});
}

static void goodbye_turn(struct conn *conn)
{
    ssize_t got = recv(conn->watch.fd, pool_of(conn)->input, READ_MAX_BYTES, 0);
    bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);

    conn->watch.more = got > 0 || errno == EINTR;
    lead(conn, (struct balance){.ended = ended});
}

static void conn_ready(struct watch *watch, uint32_t events)
{
    struct conn *conn = container_of(watch, struct conn, watch);

    switch (conn_life(conn)) {
    case LIFE_READING:
        conn_read(conn);
        break;
    case LIFE_WRITING:
        write_turn(conn);
        break;
    case LIFE_FLUSHING:
        flush_turn(conn, events);
        break;
    default:
        goodbye_turn(conn);
    }
}

static struct conn *create(struct port *port, int fd, const struct address *peer)
{
    bool named = log_enabled(LOG_DETAIL);
    struct pool *pool = port->pool;
    struct conn *conn = malloc(named ? sizeof(struct named) : sizeof *conn);

    if (!conn)
        return NULL;
    if (named)
        ((struct named *)conn)->peer = *peer;
    *conn = (struct conn){.watch = {.ready = conn_ready, .fd = fd, .state = LIFE_READING},
                          .port = port};
    timeout_init(&conn->idle);
    if (loop_add(pool->loop, &conn->watch, EPOLLIN | (pool->options->edge ? EPOLLET : 0)) == 0)
        return conn;
    free(conn);
    return NULL;
}

void conn_open(struct port *port, int fd, const struct address *peer)
{
    struct pool *pool = port->pool;
    struct counters *counters = &pool->service->counters;
    bool admitted = port->role->admitted;
    struct conn *conn = create(port, fd, peer);

    if (!conn) {
        log_limited(LOG_WARNING, "connection refused", LOG_TEXT("proto", "tcp"),
                    LOG_TEXT("error", strerror(errno)));
        close(fd);
        return;
    }
    timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool->loop));
    log_conn(conn, admitted ? "connected" : "busy", NULL);
    if (admitted) {
        counters->total_clients++;
        counters->connected_tcp++;
        return;
    }
    counters->busy_tcp++;
    pool->busy++;
    answer(conn, 0, false);
}
