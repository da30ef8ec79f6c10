// SPDX-License-Identifier: MIT
#include "transport/conn_log.h"

#include "ground/log.h"

struct named {
    struct conn conn;
    struct address peer;
};

size_t conn_log_room(void)
{
    return log_enabled(LOG_DETAIL) ? sizeof(struct named) : sizeof(struct conn);
}

void conn_log_name(struct conn *conn, const struct address *peer)
{
    if (log_enabled(LOG_DETAIL))
        ((struct named *)conn)->peer = *peer;
}

void conn_log(const struct conn *conn, const char *message, const char *reason)
{
    if (log_enabled(LOG_DETAIL))
        log_limited(LOG_DETAIL, message, LOG_TEXT("proto", "tcp"),
                    LOG_TEXT("peer", ADDRESS_STRING(&((const struct named *)conn)->peer)),
                    LOG_NUMBER("fd", conn->watch.fd), LOG_TEXT("reason", reason));
}

void conn_log_turn(const struct conn *conn, const struct turn *turn, size_t sent)
{
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", LOG_TEXT("proto", "tcp"), LOG_NUMBER("fd", conn->watch.fd),
                    LOG_NUMBER("input", turn->length),
                    LOG_NUMBER("unanswered", turn->length - turn->done),
                    LOG_NUMBER("answer", turn->reply.length), LOG_NUMBER("sent", sent));
}
