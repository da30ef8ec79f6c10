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
#include "transport/conn_log.h"
#include "transport/opening.h"

_Static_assert(sizeof(struct conn) <= 56,
               "an idle connection is one cache line with malloc's word");

static struct pool *pool_of(const struct conn *conn)
{
    return conn->port->pool;
}

static void uncount(const struct conn *conn)
{
    struct pool *pool = pool_of(conn);
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

static void decide(struct conn *conn, enum closing closing)
{
    if (conn->watch.note == CLOSINGS)
        conn->watch.note = (unsigned)closing & 0xf;
}

void conn_close(struct conn *conn, enum closing closing, const char *reason)
{
    struct pool *pool = pool_of(conn);

    conn_log_closed(conn, reason);
    decide(conn, closing);
    uncount(conn);
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

    if (pool->idle.after != TICKS_NEVER && conn->port->role->admitted &&
        conn_life(conn) != LIFE_OPENING)
        timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool->loop));
}

// CONN begins LIFE. False with errno if the connection is lost.
static bool enter(struct conn *conn, enum life life, struct balance *balance)
{
    conn->watch.state = life & 0xf;
    conn->watch.more = true;
    if (conn->port->role->admitted || life == LIFE_GOODBYE)
        timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool_of(conn)->loop));
    switch (life) {
    case LIFE_FLUSHING:
        decide(conn, balance->ended || !balance->over ? CLOSED_EOF : CLOSED_DRAIN);
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
            conn_close(conn, next == LIFE_CLOSED ? CLOSED_EOF : CLOSED_RESET,
                       next != LIFE_CLOSED    ? strerror(errno)
                       : life == LIFE_GOODBYE ? "goodbye"
                                              : "end of input");
            return;
        }
    assert(life != LIFE_READING || held_of(conn->held)->sent == held_of(conn->held)->output);
    assert(life != LIFE_WRITING || conn->held);
    uint32_t waits_for = life == LIFE_WRITING || life == LIFE_FLUSHING ? EPOLLOUT : EPOLLIN;
    if (loop_change(pool_of(conn)->loop, &conn->watch, waits_for) < 0)
        conn_close(conn, CLOSED_RESET, strerror(errno));
}

// Sends what goes without waiting: the number of bytes, or -1 with errno if the connection is lost.
static ssize_t send_some(struct conn *conn, const char *bytes, size_t length)
{
    if (length == 0)
        return 0;
    ssize_t sent = send(conn->watch.fd, bytes, length, MSG_NOSIGNAL);
    if (sent > 0) {
        pool_of(conn)->service->counters.sent[PROTOCOL_TCP] += (size_t)sent;
        conn_touch(conn);
    }
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static bool over(const struct conn *conn)
{
    return pool_draining(pool_of(conn)) && net_peek(conn->watch.fd) < 0;
}

// Sends what goes of TURN's reply, which becomes the rest. False if the connection is lost: it has
// been closed then.
static bool send_reply(struct conn *conn, struct turn *turn)
{
    ssize_t sent = send_some(conn, turn->reply.bytes, turn->reply.length);

    if (sent < 0) {
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return false;
    }
    conn_log_turn(conn, turn, (size_t)sent);
    turn->reply.bytes += sent;
    turn->reply.length -= (size_t)sent;
    loop_spent(pool_of(conn)->loop, &conn->watch,
               turn->length + (size_t)sent + turn->reply.texts * TURN_TEXT_COST_BYTES);
    return true;
}

// Sends the reply of a TURN and keeps what that leaves behind. BALANCE: how the connection stands,
// but for that.
static void settle(struct conn *conn, const struct memory *memory, struct turn *turn,
                   struct balance balance)
{
    if (balance.outcome == TURN_CLOSE)
        decide(conn, turn->closing);
    if (!send_reply(conn, turn))
        return;
    if (!held_keep(&conn->held, conn, &pool_of(conn)->given_back, memory, turn, balance.outcome)) {
        conn_close(conn, CLOSED_RESET, "no memory");
        return;
    }
    held_time(conn->held, turn, pool_of(conn));
    balance.unsent = turn->reply.length > 0;
    balance.over = over(conn);
    lead(conn, balance);
}

static void count_turn(struct counters *counters, const struct turn *turn)
{
    counters->messages[PROTOCOL_TCP] += turn->messages;
    if (turn->reply.texts > 0)
        counters_add_commands(counters, turn->reply.asked);
}

// Has the role answer the LENGTH bytes at INPUT, and sends its reply. ENDED: FIN has come.
static void answer(struct conn *conn, const char *input, size_t length, bool ended)
{
    struct pool *pool = pool_of(conn);
    const struct role *role = conn->port->role;
    struct turn turn = {.input = input,
                        .length = length,
                        .ended = ended,
                        .max_line = role->most > 0 ? role->most : pool->options->max_line,
                        .reply.buffer = pool->output};
    struct memory memory = held_of(conn->held)->memory;
    struct facts facts;
    enum outcome outcome;

    while ((outcome = role->stream(&memory, &turn)) == TURN_FACTS) {
        facts = opening_facts(conn);
        turn.facts = &facts;
    }
    bool within = turn_within_bounds(&turn, outcome);
    assert(within);
    // uncovered: only a fault of a role's leaves so much behind that the next read would go beyond
    // the buffer.
    if (!within) {
        conn_close(conn, CLOSED_RESET, "role error");
        return;
    }
    count_turn(&pool->service->counters, &turn);
    settle(conn, &memory, &turn, (struct balance){.outcome = outcome, .ended = ended});
}

// The same before the role's first turn: the bytes begin with a PROXY header.
static void open_proxied(struct conn *conn, const char *input, size_t length, bool ended)
{
    static const struct memory nothing;
    ssize_t header = opening_read(conn, input, length, ended);
    struct turn turn = {.input = input, .length = length, .begun = NOTHING_BEGUN};

    if (header < 0)
        conn_close(conn, CLOSED_PROXY, "proxy header");
    else if (header > 0)
        answer(conn, input + header, length - (size_t)header, ended);
    else
        settle(conn, &nothing, &turn,
               (struct balance){.outcome = TURN_MORE, .opening = true, .ended = ended});
}

void conn_late(struct conn *conn)
{
    const char *text = conn->port->role->late;
    struct turn turn = {
        .reply.bytes = text, .reply.length = text ? strlen(text) : 0, .closing = CLOSED_LINE};

    if (conn_life(conn) == LIFE_OPENING) {
        opening_refuse(conn, "has not come in time");
        conn_close(conn, CLOSED_PROXY, "proxy header");
    } else {
        settle(conn, &conn->held->memory, &turn, (struct balance){.outcome = TURN_CLOSE});
    }
}

// If the GOT bytes at FRESH end nothing, adds them to what is pending. Before that, no output
// stands while the connection reads.
static bool lengthen(struct conn *conn, const char *fresh, size_t got)
{
    const struct role *role = conn->port->role;
    size_t most = pool_of(conn)->options->max_line;
    size_t pending = held_of(conn->held)->input;

    return conn_life(conn) == LIFE_READING && pending > 0 && role->pends && pending + got <= most &&
           role->pends(fresh, got, pending, most) &&
           held_append(&conn->held, conn, &pool_of(conn)->given_back, fresh, got);
}

static void conn_read(struct conn *conn)
{
    char *input = pool_of(conn)->input;
    size_t before = held_of(conn->held)->input;
    bool blind = conn->port->role->blind && conn_life(conn) != LIFE_OPENING;
    ssize_t got = recv(conn->watch.fd, input + before, blind ? BLIND_MAX_BYTES : READ_MAX_BYTES,
                       blind ? MSG_TRUNC : 0);
    size_t fresh = got > 0 ? (size_t)got : 0;

    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return;
    }
    if (got < 0 || got >= READ_MAX_BYTES)
        conn->watch.more = got > 0 || errno == EINTR;
    pool_of(conn)->service->counters.received[PROTOCOL_TCP] += fresh;
    if (fresh > 0)
        conn_touch(conn);
    if (fresh > 0 && lengthen(conn, input + before, fresh)) {
        lead(conn, (struct balance){.outcome = TURN_MORE, .over = over(conn)});
        return;
    }
    if (before > 0)
        memcpy(input, conn->held->bytes + conn->held->output, before);
    if (conn_life(conn) == LIFE_OPENING)
        open_proxied(conn, input, before + fresh, got == 0);
    else
        answer(conn, input, before + fresh, got == 0);
}

static void write_turn(struct conn *conn)
{
    struct held *held = conn->held;
    ssize_t sent = send_some(conn, held->bytes + held->sent, held->output - held->sent);

    if (sent < 0) {
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return;
    }
    held->sent += (size_t)sent;
    bool unsent = held->sent < held->output;
    if (unsent || held->outcome == TURN_CLOSE) {
        lead(conn, (struct balance){.outcome = held->outcome, .unsent = unsent});
    } else if (held->outcome == TURN_AGAIN) {
        memcpy(pool_of(conn)->input, held->bytes + held->output, held->input);
        answer(conn, pool_of(conn)->input, held->input, false);
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
    case LIFE_OPENING:
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
    struct pool *pool = port->pool;
    struct conn *conn = malloc(conn_log_room());

    if (!conn)
        return NULL;
    conn_log_name(conn, peer);
    *conn = (struct conn){.watch = {.ready = conn_ready,
                                    .fd = fd,
                                    .state = port->proxy ? LIFE_OPENING : LIFE_READING,
                                    .note = CLOSINGS},
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
    bool busy = port == &pool->busy_port;
    struct conn *conn = create(port, fd, peer);

    if (!conn) {
        log_limited(LOG_WARNING, "connection refused", LOG_TEXT("proto", "tcp"),
                    LOG_TEXT("error", strerror(errno)));
        close(fd);
        return;
    }
    timeouts_start(deadline_of(conn), &conn->idle, loop_now(pool->loop));
    conn_log_opened(conn, busy ? "busy" : "connected");
    if (port->role->admitted) {
        counters->total_clients++;
        counters->accepted_tcp++;
        counters->connected_tcp++;
    } else if (port->role->observer) {
        pool->observers++;
    } else {
        counters->busy_tcp++;
        pool->busy++;
        answer(conn, pool->input, 0, false);
    }
}
