// SPDX-License-Identifier: MIT
#include "transport/exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/conn_log.h"
#include "transport/opening.h"

// Adds BYTES to the number of COUNTER that is TCP's. An observer's are none of a client's: else who
// looks at a quiet server would see its own looking.
static void count_bytes(const struct conn *conn, uint64_t counter[PROTOCOLS], size_t bytes)
{
    counter[PROTOCOL_TCP] += conn->port->role->observer ? 0 : bytes;
}

// Sends what goes without waiting: the number of bytes, or -1 with errno if the connection is lost.
static ssize_t send_some(struct conn *conn, const char *bytes, size_t length)
{
    if (length == 0)
        return 0;
    ssize_t sent = send(conn->watch.fd, bytes, length, MSG_NOSIGNAL);
    if (sent > 0) {
        count_bytes(conn, conn_pool(conn)->service->counters.sent, (size_t)sent);
        conn_touch(conn);
    }
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static bool over(const struct conn *conn)
{
    return pool_draining(conn_pool(conn)) && net_peek(conn->watch.fd) < 0;
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
    loop_spent(conn_pool(conn)->loop, &conn->watch,
               turn->length + (size_t)sent + turn->reply.texts * TURN_TEXT_COST_BYTES);
    return true;
}

// Whether CONN, which has a turn behind it, goes on as it was: that is how most turns end, and
// asking for all that might be otherwise costs a hundredth of one.
static bool goes_on(const struct conn *conn, struct memory memory, const struct turn *turn,
                    struct balance balance)
{
    return conn_life(conn) == LIFE_READING && !conn->held && !conn->watch.edge &&
           turn->reply.length == 0 && turn->done == turn->length && memory_empty(&memory) &&
           balance.outcome == TURN_MORE && !balance.ended && !pool_draining(conn_pool(conn));
}

// Sends the reply of a TURN and keeps what that leaves behind. BALANCE: how the connection stands,
// but for that.
static void settle(struct conn *conn, struct memory memory, struct turn *turn,
                   struct balance balance)
{
    if (balance.outcome == TURN_CLOSE || balance.outcome == TURN_RESET)
        conn_decide(conn, balance.outcome == TURN_RESET ? CLOSED_RESET : turn->closing);
    if (!send_reply(conn, turn) || goes_on(conn, memory, turn, balance))
        return;
    if (!held_keep(&conn->held, &conn_pool(conn)->given_back, memory, turn, balance.outcome) ||
        !held_time(conn->held, conn, turn, conn_pool(conn))) {
        conn_close(conn, CLOSED_RESET, "no memory");
        return;
    }
    balance.unsent = turn->reply.length > 0;
    balance.over = over(conn);
    conn_lead(conn, balance);
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
    struct pool *pool = conn_pool(conn);
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
    settle(conn, memory, &turn, (struct balance){.outcome = outcome, .ended = ended});
}

// The same before the role's first turn: the bytes begin with a PROXY header.
static void open_proxied(struct conn *conn, const char *input, size_t length, bool ended)
{
    struct memory nothing = {.discarding = false};
    ssize_t header = opening_read(conn, input, length, ended);
    struct turn turn = {.input = input, .length = length, .begun = NOTHING_BEGUN};

    if (header < 0)
        conn_close(conn, CLOSED_PROXY, "proxy header");
    else if (header > 0)
        answer(conn, input + header, length - (size_t)header, ended);
    else
        settle(conn, nothing, &turn,
               (struct balance){.outcome = TURN_MORE, .opening = true, .ended = ended});
}

void exchange_late(struct conn *conn)
{
    const char *text = conn->port->role->late;
    struct turn turn = {
        .reply.bytes = text, .reply.length = text ? strlen(text) : 0, .closing = CLOSED_LINE};

    if (conn_life(conn) == LIFE_OPENING) {
        opening_refuse(conn, "has not come in time");
        conn_close(conn, CLOSED_PROXY, "proxy header");
    } else {
        settle(conn, held_of(conn->held)->memory, &turn, (struct balance){.outcome = TURN_CLOSE});
    }
}

// If the GOT bytes at FRESH end nothing, adds them to what is pending. Before that, no output
// stands while the connection reads.
static bool lengthen(struct conn *conn, const char *fresh, size_t got)
{
    const struct role *role = conn->port->role;
    size_t most = conn_pool(conn)->options->max_line;
    size_t pending = held_of(conn->held)->input;

    return conn_life(conn) == LIFE_READING && pending > 0 && role->pends && pending + got <= most &&
           role->pends(fresh, got, pending, most) &&
           held_append(&conn->held, &conn_pool(conn)->given_back, fresh, got);
}

static void conn_read(struct conn *conn)
{
    char *input = conn_pool(conn)->input;
    size_t before = held_of(conn->held)->input;
    bool blind = conn->port->role->blind && conn_life(conn) != LIFE_OPENING;
    ssize_t got = recv(conn->watch.fd, input + before, READ_MAX_BYTES, blind ? MSG_TRUNC : 0);
    size_t fresh = got > 0 ? (size_t)got : 0;

    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return;
    }
    if (got < 0 || got >= READ_MAX_BYTES)
        conn->watch.more = got > 0 || errno == EINTR;
    count_bytes(conn, conn_pool(conn)->service->counters.received, fresh);
    if (fresh > 0)
        conn_touch(conn);
    if (fresh > 0 && lengthen(conn, input + before, fresh)) {
        conn_lead(conn, (struct balance){.outcome = TURN_MORE, .over = over(conn)});
        return;
    }
    if (before > 0)
        memcpy(input, held_input(conn->held), before);
    if (conn_life(conn) == LIFE_OPENING)
        open_proxied(conn, input, before + fresh, got == 0);
    else
        answer(conn, input, before + fresh, got == 0);
}

static void write_turn(struct conn *conn)
{
    struct held *held = conn->held;
    ssize_t sent = send_some(conn, held_output(held) + held->sent, held->output - held->sent);

    if (sent < 0) {
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return;
    }
    held->sent += (uint32_t)sent;
    bool unsent = held->sent < held->output;
    if (unsent || (held->outcome != TURN_MORE && held->outcome != TURN_AGAIN)) {
        conn_lead(conn, (struct balance){.outcome = held->outcome, .unsent = unsent});
    } else if (held->outcome == TURN_AGAIN) {
        memcpy(conn_pool(conn)->input, held_input(held), held->input);
        answer(conn, conn_pool(conn)->input, held->input, false);
    } else {
        conn_read(conn);
    }
}

bool exchange_due(struct conn *conn)
{
    conn->held->outcome = TURN_AGAIN;
    return conn_lead(conn, (struct balance){.outcome = TURN_AGAIN, .due = true});
}

static void flush_turn(struct conn *conn, uint32_t events)
{
    // Another event is from before the connection began to flush.
    bool flushed = events & (EPOLLOUT | EPOLLERR | EPOLLHUP);

    conn_lead(conn, (struct balance){.flushed = flushed,
                                     .ended = flushed && net_peek(conn->watch.fd) == 0});
}

static void goodbye_turn(struct conn *conn)
{
    ssize_t got = recv(conn->watch.fd, conn_pool(conn)->input, READ_MAX_BYTES, 0);
    bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);

    conn->watch.more = got > 0 || errno == EINTR;
    conn_lead(conn, (struct balance){.ended = ended});
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
    case LIFE_WAITING: // another event is from before it began to wait
        if (events & (EPOLLERR | EPOLLHUP))
            conn_close(conn, CLOSED_RESET, "reset");
        break;
    case LIFE_FLUSHING:
        flush_turn(conn, events);
        break;
    default:
        goodbye_turn(conn);
    }
}

struct conn *exchange_create(struct port *port, int fd, const struct address *peer)
{
    struct pool *pool = port->pool;
    struct conn *conn = malloc(conn_log_room());

    if (!conn)
        return NULL;
    *conn = (struct conn){.watch = {.ready = conn_ready,
                                    .fd = fd,
                                    .state = port->proxy ? LIFE_OPENING : LIFE_READING,
                                    .note = CLOSINGS},
                          .port = port};
    conn_log_name(conn, peer);
    timeout_init(&conn->idle);
    if (loop_add(pool->loop, &conn->watch, EPOLLIN | (pool->options->edge ? EPOLLET : 0)) == 0)
        return conn;
    free(conn);
    return NULL;
}

void exchange_open(struct port *port, int fd, const struct address *peer)
{
    struct pool *pool = port->pool;
    struct counters *counters = &pool->service->counters;
    bool busy = port == &pool->busy_port;
    struct conn *conn = exchange_create(port, fd, peer);

    if (!conn) {
        log_limited(LOG_WARNING, "connection refused", LOG_TEXT("proto", "tcp"),
                    LOG_TEXT("error", strerror(errno)));
        close(fd);
        return;
    }
    conn_time(conn);
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
