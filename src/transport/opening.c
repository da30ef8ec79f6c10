// SPDX-License-Identifier: MIT
#include "transport/opening.h"

#include "core/proxy.h"
#include "ground/log.h"
#include "system/net.h"

void opening_refuse(const struct conn *conn, const char *reason)
{
    struct pool *pool = conn->port->pool;
    struct address peer = net_peer(conn->watch.fd);

    pool->service->counters.proxy_refused++;
    log_limited(LOG_INFO, "proxy header refused", LOG_TEXT("proto", "tcp"),
                LOG_TEXT("peer", ADDRESS_STRING(&peer)),
                LOG_TEXT("addr", ADDRESS_STRING(&conn->port->local)), LOG_TEXT("reason", reason));
}

ssize_t opening_read(struct conn *conn, const char *bytes, size_t length, bool ended)
{
    struct pool *pool = conn->port->pool;
    struct proxy_header header;
    const char *problem = NULL;

    proxy_parse(bytes, length, &header);
    if (header.problem)
        problem = header.problem;
    else if (header.length == 0 && ended && length > 0)
        problem = "has ended before its end";
    else if (header.announced &&
             !held_keep_header(&conn->held, &pool->given_back, bytes, header.length))
        problem = "cannot be kept without memory";
    if (problem)
        opening_refuse(conn, problem);
    return problem ? -1 : (ssize_t)header.length;
}

static void announce(const struct held *held, struct facts *facts)
{
    struct proxy_header header;

    facts->via = facts->peer;
    facts->loopback = false;
    if (held->header == 0)
        return;
    proxy_parse(held->bytes, held->header, &header);
    facts->peer = header.source;
    facts->local = header.destination;
    facts->authority = header.authority;
    facts->authority_length = header.authority_length;
    facts->tls = header.tls;
    facts->tls_length = header.tls_length;
}

struct facts opening_facts(const struct conn *conn)
{
    int fd = conn->watch.fd;
    struct facts facts = pool_facts(conn->port->pool, PROTOCOL_TCP, net_peer(fd), net_local(fd));

    if (conn->port->role->observer)
        facts.usage = process_usage(conn->port->pool->process);
    if (conn->port->proxy)
        announce(held_of(conn->held), &facts);
    return facts;
}
