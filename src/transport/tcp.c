// SPDX-License-Identifier: MIT
#include "transport/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/stream.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"

enum { TOLD_SECONDS = 60, RETRY_TICKS = 1 };

struct listener {
    struct list link;
    struct watch watch;
    struct tcp *tcp;
    bool watched;
};

bool tcp_init(struct tcp *tcp, struct loop *loop, const struct options *options,
              struct service *service)
{
    size_t input = READ_MAX_BYTES + options->max_line;

    *tcp = (struct tcp){.loop = loop,
                        .options = options,
                        .service = service,
                        .max_busy = BUSY_MAX,
                        .retry = TICKS_NEVER,
                        .told = TICKS_NEVER};
    list_init(&tcp->listeners);
    timeouts_init(&tcp->idle, options->idle_timeout);
    timeouts_init(&tcp->line, options->line_timeout);
    timeouts_init(&tcp->goodbye, GOODBYE_SECONDS);
    tcp->input = malloc(input);
    tcp->output = malloc(input + STREAM_ANSWERS_MAX * ANSWER_MAX_BYTES);
    return tcp->input && tcp->output;
}

static void listener_close(struct listener *listener)
{
    if (listener->watched)
        loop_remove(listener->tcp->loop, &listener->watch);
    close(listener->watch.fd);
    list_remove(&listener->link);
    free(listener);
}

void tcp_unlisten(struct tcp *tcp)
{
    while (!list_empty(&tcp->listeners))
        listener_close(container_of(tcp->listeners.next, struct listener, link));
}

static struct conn *first_conn(struct list *list)
{
    return container_of(list->next, struct conn, idle.link);
}

void tcp_finish(struct tcp *tcp)
{
    tcp_unlisten(tcp);
    while (!list_empty(&tcp->idle.list))
        conn_close(first_conn(&tcp->idle.list), "drain timeout");
    while (!list_empty(&tcp->goodbye.list))
        conn_close(first_conn(&tcp->goodbye.list), "drain timeout");
    free(tcp->input);
    free(tcp->output);
}

static bool at_max_tcp(const struct tcp *tcp)
{
    return tcp->service->counters.connected_tcp >= tcp->options->max_tcp;
}

static bool full(const struct tcp *tcp)
{
    return at_max_tcp(tcp) && tcp->busy >= tcp->max_busy;
}

// Stops watching the listeners: clients wait in their queues. A listener that is watched while
// nobody can be taken in would be reported for ever.
static void pause_accepting(struct tcp *tcp, ticks retry)
{
    for (struct list *at = tcp->listeners.next; at != &tcp->listeners; at = at->next) {
        struct listener *listener = container_of(at, struct listener, link);

        if (listener->watched)
            loop_remove(tcp->loop, &listener->watch);
        listener->watched = false;
    }
    tcp->paused = true;
    tcp->freed = false;
    tcp->retry = retry;
}

// accept4(2) failed for a reason that lies here and not with a client.
static void accept_failed(struct tcp *tcp, int error)
{
    ticks now = loop_now(tcp->loop);

    // Once a minute is enough: this can go on for as long as clients like.
    if (tcp->told == TICKS_NEVER || now - tcp->told > TOLD_SECONDS * TICKS_PER_SECOND) {
        tcp->told = now;
        log_event(LOG_WARNING, "cannot accept, clients have to wait", "proto", "tcp", "error",
                  strerror(error), NULL);
    }
    pause_accepting(tcp, now + RETRY_TICKS);
}

// These say that one client is gone, or that the network failed it (accept(2)).
static bool client_failed(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

// Accepts one client. False if the queue is empty, or accepting has been paused.
static bool accept_one(struct listener *listener)
{
    struct tcp *tcp = listener->tcp;

    if (full(tcp)) {
        pause_accepting(tcp, TICKS_NEVER);
        return false;
    }
    int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        conn_open(tcp, fd, !at_max_tcp(tcp));
        return true;
    }
    if (client_failed(errno))
        return true;
    if (errno != EAGAIN)
        accept_failed(tcp, errno);
    return false;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    struct listener *listener = container_of(watch, struct listener, watch);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && accept_one(listener); i++)
        continue;
}

int tcp_listen(struct tcp *tcp, int fd)
{
    struct listener *listener = malloc(sizeof *listener);

    if (listener) {
        *listener = (struct listener){
            .watch = {.ready = listener_ready, .fd = fd}, .tcp = tcp, .watched = true};
        if ((tcp->options->socket_buffer == 0 ||
             net_limit_buffers(fd, tcp->options->socket_buffer) == 0) &&
            loop_add(tcp->loop, &listener->watch, EPOLLIN) == 0) {
            list_append(&tcp->listeners, &listener->link);
            return 0;
        }
    }
    int error = errno;
    free(listener);
    close(fd);
    errno = error;
    return -1;
}

void tcp_announce(const struct tcp *tcp)
{
    for (struct list *at = tcp->listeners.next; at != &tcp->listeners; at = at->next)
        net_announce(container_of(at, struct listener, link)->watch.fd, "tcp");
}

// Ends the pause, in which no listener is watched.
static void watch_listeners(struct tcp *tcp)
{
    for (struct list *at = tcp->listeners.next; at != &tcp->listeners; at = at->next) {
        struct listener *listener = container_of(at, struct listener, link);

        if (loop_add(tcp->loop, &listener->watch, EPOLLIN) < 0) {
            accept_failed(tcp, errno);
            return;
        }
        listener->watched = true;
    }
    tcp->paused = false;
    tcp->retry = TICKS_NEVER;
}

void tcp_resume(struct tcp *tcp)
{
    if (tcp->paused && tcp->freed) // room for one more, if it was that
        watch_listeners(tcp);
}

static void expire_all(struct timeouts *timeouts, ticks now, void (*over)(struct timeout *timeout))
{
    struct timeout *timeout;

    for (int i = 0; i < EXPIRED_PER_TURN_MAX && (timeout = timeouts_due(timeouts, now)); i++)
        over(timeout);
}

static void goodbye_over(struct timeout *timeout)
{
    conn_close(container_of(timeout, struct conn, idle), "goodbye timeout");
}

void tcp_expire(struct tcp *tcp, ticks now)
{
    expire_all(&tcp->line, now, conn_line_over);
    expire_all(&tcp->idle, now, conn_idle_over);
    expire_all(&tcp->goodbye, now, goodbye_over);
    if (tcp->retry <= now)
        watch_listeners(tcp);
}

static ticks sooner(ticks a, ticks b)
{
    return a < b ? a : b;
}

ticks tcp_next(const struct tcp *tcp)
{
    return sooner(sooner(timeouts_next(&tcp->line), timeouts_next(&tcp->idle)),
                  sooner(timeouts_next(&tcp->goodbye), tcp->retry));
}

// A client in the queue has been told by its own system that it is connected: it is served too.
static void accept_last(struct listener *listener)
{
    for (unsigned i = 0; i <= listener->tcp->options->backlog && accept_one(listener); i++)
        continue;
}

void tcp_drain(struct tcp *tcp, bool own)
{
    struct list all;

    tcp->draining = true;
    while (!list_empty(&tcp->listeners)) {
        struct listener *listener = container_of(tcp->listeners.next, struct listener, link);

        if (own)
            accept_last(listener);
        listener_close(listener);
    }
    tcp->paused = false;
    tcp->retry = TICKS_NEVER;
    // Each connection has one turn now, even if it goes back into the list as the last.
    list_init(&all);
    while (!list_empty(&tcp->idle.list)) {
        struct list *link = tcp->idle.list.next;

        list_remove(link);
        list_append(&all, link);
    }
    while (!list_empty(&all)) {
        struct conn *conn = first_conn(&all);

        timeouts_start(&tcp->idle, &conn->idle, loop_now(tcp->loop));
        conn_drain(conn);
    }
}

bool tcp_empty(const struct tcp *tcp)
{
    return tcp->service->counters.connected_tcp == 0 && tcp->busy == 0;
}
