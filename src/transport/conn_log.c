// SPDX-License-Identifier: MIT
#include "transport/conn_log.h"

#include "ground/log.h"
#include "system/net.h"
#include "transport/held.h"

struct named {
    struct conn conn;
    struct address peer;
    uint64_t number; // of all connections since the start
};

static const struct named *named(const struct conn *conn)
{
    return (const struct named *)conn;
}

size_t conn_log_room(void)
{
    return log_enabled(LOG_DETAIL) ? sizeof(struct named) : sizeof(struct conn);
}

void conn_log_name(struct conn *conn, const struct address *peer)
{
    if (!log_enabled(LOG_DETAIL))
        return;
    ((struct named *)conn)->peer = *peer;
    ((struct named *)conn)->number = ++conn_pool(conn)->logged;
}

uint64_t conn_log_number(const struct conn *conn)
{
    return log_enabled(LOG_DETAIL) ? named(conn)->number : 0;
}

void conn_log_renumber(struct conn *conn, uint64_t number)
{
    if (!log_enabled(LOG_DETAIL) || number == 0)
        return;
    ((struct named *)conn)->number = number;
    conn_pool(conn)->logged--; // what it was given here is the next one's
}

void conn_log_opened(const struct conn *conn, const char *message)
{
    if (log_enabled(LOG_DETAIL))
        log_limited(LOG_DETAIL, message, LOG_TEXT("proto", "tcp"),
                    LOG_NUMBER("conn", named(conn)->number),
                    LOG_TEXT("peer", ADDRESS_STRING(&named(conn)->peer)),
                    LOG_TEXT("role", conn->port->role->name), LOG_NUMBER("fd", conn->watch.fd));
}

// Who is lost while it is read from, or would be again, has not ended its side before.
static bool may_have_ended(const struct conn *conn, enum closing closing)
{
    enum outcome outcome = held_of(conn->held)->outcome;
    bool reads = conn_life(conn) <= LIFE_READING ||
                 (conn_life(conn) == LIFE_WRITING && outcome != TURN_CLOSE);

    return closing != CLOSED_RESET || !reads;
}

void conn_log_closed(const struct conn *conn, enum closing closing, const char *reason)
{
    struct net_moved moved;

    if (!log_enabled(LOG_DETAIL))
        return;
    moved = net_moved(conn->watch.fd, may_have_ended(conn, closing));
    log_limited(LOG_DETAIL, "closed", LOG_TEXT("proto", "tcp"),
                LOG_NUMBER("conn", named(conn)->number),
                LOG_TEXT("peer", ADDRESS_STRING(&named(conn)->peer)),
                LOG_NUMBER("fd", conn->watch.fd), LOG_TEXT("reason", reason),
                LOG_NUMBER("received", moved.received), LOG_NUMBER("sent", moved.sent));
}

void conn_log_turn(const struct conn *conn, const struct turn *turn, size_t sent)
{
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", LOG_TEXT("proto", "tcp"),
                    LOG_NUMBER("conn", named(conn)->number), LOG_NUMBER("fd", conn->watch.fd),
                    LOG_NUMBER("input", turn->length),
                    LOG_NUMBER("unanswered", turn->length - turn->done),
                    LOG_NUMBER("answer", turn->reply.length), LOG_NUMBER("sent", sent));
}
