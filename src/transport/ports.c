// SPDX-License-Identifier: MIT
#include "transport/ports.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/crowd.h"
#include "transport/exchange.h"

enum { RETRY_TICKS = 1, REST_DOUBLINGS_MAX = 4 };

bool ports_init(struct ports *ports, struct loop *loop, const struct options *options,
                struct service *service)
{
    *ports = (struct ports){.retry = TICKS_NEVER,
                            .told = TICKS_NEVER,
                            .rest_over = TICKS_NEVER,
                            .rest_told = TICKS_NEVER};
    // Both, so that ports_finish finds each in a state to be finished in.
    bool pool = pool_init(&ports->pool, loop, options, service);
    bool udp = udp_init(&ports->udp, &ports->pool);

    return pool && udp;
}

static void unwatch(struct port *port)
{
    if (port->watched)
        loop_remove(port->pool->loop, &port->watch);
    port->watched = false;
}

static void shut(struct port *port)
{
    unwatch(port);
    if (port->watch.fd >= 0)
        close(port->watch.fd);
    port->watch.fd = -1;
}

// What waits in its queue is another process's.
static void leave(struct port *port)
{
    if (port->protocol == PROTOCOL_UDP && port->watch.fd >= 0)
        net_separate(port->watch.fd);
    shut(port);
}

void ports_finish(struct ports *ports, const char *reason)
{
    ports_forget(ports, 0);
    crowd_close(&ports->pool, reason);
    udp_finish(&ports->udp);
    pool_finish(&ports->pool);
}

static struct ports *ports_of(struct port *port)
{
    return container_of(port->pool, struct ports, pool);
}

static bool observes(const struct port *port)
{
    return port->role->observer;
}

static bool at_max_tcp(const struct pool *pool)
{
    return pool->service->counters.connected_tcp >= pool->options->max_tcp;
}

static bool full(const struct pool *pool)
{
    return at_max_tcp(pool) && pool->busy >= pool->max_busy;
}

// Stops watching the listeners: clients wait in their queues. A listener that is watched while
// nobody can be taken in would be reported for ever. OBSERVERS: not even they can be.
static void pause_accepting(struct ports *ports, ticks retry, bool observers)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->port[i].protocol == PROTOCOL_TCP && (observers || !observes(&ports->port[i])))
            unwatch(&ports->port[i]);
    ports->paused = true;
    ports->pool.freed = false;
    ports->retry = retry;
}

// accept4(2) failed for a reason that lies here and not with a client.
static void accept_failed(struct ports *ports, int error)
{
    ticks now = loop_now(ports->pool.loop);

    // Once a minute is enough: this can go on for as long as clients like.
    if (ticks_tell(&ports->told, now))
        log_event(LOG_WARNING, "cannot accept, clients have to wait", LOG_TEXT("proto", "tcp"),
                  LOG_TEXT("error", strerror(error)));
    pause_accepting(ports, now + RETRY_TICKS, true);
}

// The client is gone, or the network failed it (accept(2)).
static bool client_failed(int error)
{
    static const int errors[] = {
        EINTR,     ECONNABORTED, EPERM,        EPROTO,     ENETDOWN,    ENOPROTOOPT,
        EHOSTDOWN, ENONET,       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT,
    };

    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++)
        if (errors[i] == error)
            return true;
    return false;
}

static int limit_buffers(const struct port *port, int fd)
{
    unsigned buffer = port->pool->options->socket_buffer;

    return buffer > 0 ? net_limit_buffers(fd, buffer) : 0;
}

// A connection that is older than the options of its listener, which was passed, has not inherited
// them. It is served as it is where they cannot be set.
static void set_late(const struct port *port, int fd)
{
    const char *call;

    if (net_settle(fd, SOCK_STREAM, &call) == 0)
        limit_buffers(port, fd);
}

// Accepts one client. False if the queue is empty, or accepting has been paused.
static bool accept_one(struct port *port)
{
    struct ports *ports = ports_of(port);
    struct pool *pool = port->pool;
    bool named = log_enabled(LOG_DETAIL); // the peer is told nowhere else
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof storage;

    if (full(pool) && !observes(port)) {
        pause_accepting(ports, TICKS_NEVER, false);
        return false;
    }
    int fd = accept4(port->watch.fd, named ? (struct sockaddr *)&storage : NULL,
                     named ? &length : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct address peer = address_of(&storage);

        ports->failures = 0;
        if (!port->settled)
            set_late(port, fd);
        if (observes(port))
            crowd_make_room(pool);
        exchange_open(at_max_tcp(pool) && !observes(port) ? &pool->busy_port : port, fd, &peer);
        return true;
    }
    // So many in a row do not lie with the clients: a filter says EPERM to everybody, say.
    if (client_failed(errno) && ++ports->failures < ACCEPTS_PER_TURN_MAX)
        return true;
    port->settled |= errno == EAGAIN;
    if (errno != EAGAIN)
        accept_failed(ports, errno);
    return false;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    struct port *port = container_of(watch, struct port, watch);

    (void)events;
    net_vary_keepalive(watch->fd, ports_of(port)->spread++);
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && accept_one(port); i++)
        continue;
}

// No datagram can be taken from PORT, which would be reported again and again: it is left alone for
// a tick, and for longer each time, up to four seconds.
static void datagrams_failed(struct port *port, int error)
{
    struct ports *ports = ports_of(port);
    ticks now = loop_now(ports->pool.loop);

    // An error that waited at the socket is gone with the call that tells it (socket(7), SO_ERROR).
    if (port->failures++ == 0)
        return;
    if (port->failures > REST_DOUBLINGS_MAX + 2)
        port->failures = REST_DOUBLINGS_MAX + 2;
    unwatch(port);
    ports->rest_over =
        ticks_sooner(ports->rest_over, now + ((ticks)RETRY_TICKS << (port->failures - 2)));
    if (ticks_tell(&ports->rest_told, now))
        log_event(LOG_WARNING, "cannot receive, datagrams have to wait", LOG_TEXT("proto", "udp"),
                  LOG_TEXT("addr", ADDRESS_STRING(&port->local)),
                  LOG_TEXT("error", strerror(error)));
}

static void datagrams_ready(struct watch *watch, uint32_t events)
{
    struct port *port = container_of(watch, struct port, watch);
    int error = udp_ready(&ports_of(port)->udp, port);

    // With EAGAIN alone, there was a datagram of a wrong checksum, which is gone. With an event
    // beside it, somebody else has shut the socket down or has it keep errors: that would go on.
    if (error == 0)
        port->failures = 0;
    else if (error != EINTR && (error != EAGAIN || events != EPOLLIN))
        datagrams_failed(port, error);
}

static int set_up(struct port *port)
{
    bool reflect = port->protocol == PROTOCOL_UDP && port->pool->options->dscp_reflect;

    if (port->protocol == PROTOCOL_TCP && limit_buffers(port, port->watch.fd) < 0)
        return -1;
    if (reflect && net_tell_class(port->watch.fd) < 0)
        return -1;
    if (port->protocol == PROTOCOL_UDP)
        port->lost = net_lost(port->watch.fd); // before this process
    port->local = net_local(port->watch.fd);
    return port->local.port ? 0 : -1;
}

int ports_add(struct ports *ports, struct duty duty, enum protocol protocol, int fd, bool own)
{
    if (ports->count == PORTS_MAX) {
        log_event(LOG_ERROR, "too many sockets", LOG_NUMBER("most", PORTS_MAX));
        close(fd);
        errno = ENOBUFS;
        return -1;
    }
    struct port *port = &ports->port[ports->count++];
    *port = (struct port){
        .watch = {.ready = protocol == PROTOCOL_TCP ? listener_ready : datagrams_ready, .fd = fd},
        .role = duty.role,
        .proxy = duty.proxy,
        .pool = &ports->pool,
        .protocol = protocol,
        .own = own,
        .settled = own,
    };
    if (set_up(port) == 0)
        return 0;
    int error = errno;
    ports_forget(ports, ports->count - 1);
    errno = error;
    return -1;
}

struct port *ports_add_closed(struct ports *ports, struct duty duty, const struct address *local)
{
    if (ports->count == PORTS_MAX)
        return NULL;
    struct port *port = &ports->port[ports->count++];
    *port = (struct port){.watch.fd = -1,
                          .role = duty.role,
                          .proxy = duty.proxy,
                          .pool = &ports->pool,
                          .local = *local};
    return port;
}

void ports_forget(struct ports *ports, size_t first)
{
    while (ports->count > first)
        shut(&ports->port[--ports->count]);
}

// False with errno.
static bool watch(struct port *port)
{
    uint32_t events = port->protocol == PROTOCOL_UDP ? EPOLLIN | EPOLLRDHUP : EPOLLIN;

    if (loop_add(port->pool->loop, &port->watch, events) < 0)
        return false;
    port->watched = true;
    return true;
}

static void tell(const struct port *port)
{
    char room[64];
    struct text role = text_in(room, sizeof room);

    text_format(&role, "%s%s", port->role->name, port->proxy ? DUTY_PROXY : "");
    log_event(LOG_INFO, "listening", LOG_TEXT("role", text_end(&role)),
              LOG_TEXT("proto", protocol_name(port->protocol)),
              LOG_TEXT("addr", ADDRESS_STRING(&port->local)));
}

int ports_serve(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        struct port *port = &ports->port[i];

        if (port->watch.fd < 0)
            continue;
        if (!watch(port))
            return -1;
        if (port->protocol == PROTOCOL_UDP)
            guard_add_port(&ports->pool.service->ports, port->local.port);
        tell(port);
    }
    return 0;
}

bool ports_observe(const struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++)
        if (observes(&ports->port[i]))
            return true;
    return false;
}

// Ends the pause.
static void watch_listeners(struct ports *ports)
{
    ports->failures = 0;
    for (size_t i = 0; i < ports->count; i++)
        if (ports->port[i].protocol == PROTOCOL_TCP && ports->port[i].watch.fd >= 0 &&
            !ports->port[i].watched && !watch(&ports->port[i])) {
            accept_failed(ports, errno);
            return;
        }
    ports->paused = false;
    ports->retry = TICKS_NEVER;
}

static void watch_rested(struct ports *ports)
{
    ports->rest_over = TICKS_NEVER;
    for (size_t i = 0; i < ports->count; i++)
        if (!ports->port[i].watched && ports->port[i].protocol == PROTOCOL_UDP &&
            !watch(&ports->port[i]))
            datagrams_failed(&ports->port[i], errno);
}

void ports_resume(struct ports *ports)
{
    if (ports->paused && ports->pool.freed &&
        !pool_draining(&ports->pool)) // room for one more, if it was that
        watch_listeners(ports);
}

void ports_expire(struct ports *ports, ticks now)
{
    crowd_expire(&ports->pool, now);
    crowd_wake(&ports->pool, loop_nanoseconds(ports->pool.loop));
    udp_wake(&ports->udp, loop_nanoseconds(ports->pool.loop));
    if (ports->retry <= now && !pool_draining(&ports->pool))
        watch_listeners(ports);
    if (ports->rest_over <= now && !pool_draining(&ports->pool))
        watch_rested(ports);
}

uint64_t ports_next_at(const struct ports *ports)
{
    return uint64_min(delays_next(&ports->pool.delays), delays_next(&ports->udp.delayed.delays));
}

ticks ports_next(const struct ports *ports)
{
    ticks retry = ticks_sooner(ports->retry, ports->rest_over);

    return ticks_sooner(crowd_next(&ports->pool),
                        pool_draining(&ports->pool) ? TICKS_NEVER : retry);
}

void ports_drain(struct ports *ports)
{
    while (ports->udp.delayed.delays.count > 0) // while their sockets are open
        udp_wake(&ports->udp, DELAYS_NEVER);
    for (size_t i = 0; i < ports->count; i++) {
        struct port *port = &ports->port[i];

        unwatch(port);
        if (port->protocol == PROTOCOL_UDP) {
            port->last = UDP_LAST_TURNS;
            port->fewer = 0;
        } else {
            port->last = port->pool->options->backlog / ACCEPTS_PER_TURN_MAX + 1;
        }
        if (!port->own)
            leave(port);
    }
}

static bool serve_last_datagrams(struct udp *udp, struct port *port)
{
    int came = udp_turn(udp, port);

    udp_wake(udp, DELAYS_NEVER);
    return came > 0 || udp->delayed.delays.count > 0;
}

// Who is in the queue of an own socket has been told that it is connected, and what has been sent
// to one has been taken: they are served too. False when none is left.
static bool serve_last(struct port *port)
{
    if (port->protocol == PROTOCOL_UDP)
        return serve_last_datagrams(&ports_of(port)->udp, port);
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX; i++)
        if (!accept_one(port))
            return false;
    return true;
}

bool ports_drain_some(struct ports *ports)
{
    bool open = false;

    for (size_t i = 0; i < ports->count; i++) {
        struct port *port = &ports->port[i];

        if (port->watch.fd < 0)
            continue;
        if (port->last-- > 0 && serve_last(port))
            open = true;
        else
            shut(port);
    }
    if (open)
        return true;
    if (!ports->drained)
        crowd_drain(&ports->pool);
    ports->drained = true;
    return crowd_drain_some(&ports->pool);
}

bool ports_empty(const struct ports *ports)
{
    const struct pool *pool = &ports->pool;

    return pool->service->counters.connected_tcp == 0 && pool->busy == 0 && pool->observers == 0;
}
