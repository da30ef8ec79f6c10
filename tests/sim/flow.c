// SPDX-License-Identifier: MIT
#include "flow.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client.h"
#include "files.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "world.h"

struct flows flows;

struct flow *flow_open(struct client *client, const struct address *peer, size_t rx_room,
                       size_t tx_room)
{
    struct netsock *socket = netsock_find(SOCK_STREAM, address_is_v4(peer));

    if (!socket || socket->waiting > socket->backlog || flows.count == FLOWS_MAX)
        return NULL;
    struct flow *flow = memory_own(NULL, sizeof *flow);
    *flow = (struct flow){.number = flows.count,
                          .opened = world.now,
                          .taken = world.now,
                          .arrived = world.now,
                          .urgent = NO_URGENT,
                          .fd = -1,
                          .family = socket->family,
                          .peer = *peer,
                          .local = socket->bound,
                          .client = client,
                          .role = netsock_duty(socket).role,
                          .header = netsock_duty(socket).proxy ? header_create() : NULL,
                          .rx_room = rx_room,
                          .tx_room = tx_room,
                          .window = 1 + magnitude(2 * tx_room)};
    if (IN6_IS_ADDR_UNSPECIFIED(&flow->local.ip) ||
        memcmp(flow->local.ip.s6_addr + 12, "\0\0\0\0", 4) == 0)
        flow->local =
            netsock_parse(address_is_v4(peer) ? "192.0.2.1" : "2001:db8::1", socket->bound.port);
    flows.flow[flows.count++] = flow;
    netsock_enqueue(socket, flow);
    return flow;
}

void flow_finish_all(void)
{
    flows.held_count = 0;
    while (flows.count > 0) {
        struct flow *flow = flows.flow[--flows.count];

        fifo_finish(&flow->rx);
        fifo_finish(&flow->tx);
        expect_finish(&flow->expect);
        memory_own(flow->header, 0);
        memory_own(flow, 0);
    }
}

size_t flow_unsent(const struct flow *flow)
{
    return flow->dead || flow->tx.length <= flow->window ? 0 : flow->tx.length - flow->window;
}

// tcp(7) calls a socket writable when a third of its buffer is free, not when a byte is.
bool flow_writable(const struct flow *flow)
{
    return flow->pressure <= world.now && flow_unsent(flow) * 3 <= flow->tx_room * 2 &&
           (!flow->lowat || flow_unsent(flow) == 0);
}

uint32_t flow_poll(struct flow *flow)
{
    bool in_over = flow->fin_in || flow->dead, out_over = flow->fin_out || flow->dead;
    uint32_t events = flow->error ? EPOLLERR : 0;

    if (in_over)
        events |= EPOLLIN | EPOLLRDHUP;
    if (in_over && out_over)
        events |= EPOLLHUP;
    if (flow->rx.length > 0)
        events |= EPOLLIN;
    if (flow->urgent != NO_URGENT)
        events |= EPOLLPRI;
    if (out_over || flow_writable(flow))
        events |= EPOLLOUT;
    else
        flow->no_space = true;
    return events;
}

static void wake_writer(void *subject)
{
    struct flow *flow = subject;

    if (!flow->no_space || !flow_writable(flow))
        return;
    flow->no_space = false;
    flow->owed_until = world.now; // it may have waited for no more than this
    files_wake(flow->fd, EPOLLOUT);
}

void flow_reset(struct flow *flow, int error)
{
    if (flow->dead)
        return;
    flow->dead = true;
    flow->error = error;
    trace("flow %u is reset: %s", flow->number, strerrorname_np(error));
    files_wake(flow->fd, 0);
    client_poke(flow->client);
}

size_t flow_client_send(struct flow *flow, const char *bytes, size_t length)
{
    if (flow->dead || flow->fin_in)
        return 0;
    if (flow->closed) {
        flow_reset(flow, ECONNRESET); // nobody is there any more: RST
        return 0;
    }
    size_t room = flow->rx_room > flow->rx.length ? flow->rx_room - flow->rx.length : 0;
    length = size_min(length, room);
    if (length == 0)
        return 0;
    fifo_put(&flow->rx, bytes, length);
    flow->arrived = world.now;
    trace("flow %u: client sends %zu", flow->number, length);
    files_wake(flow->fd, EPOLLIN);
    return length;
}

size_t flow_client_recv(struct flow *flow, size_t length)
{
    if (flow->dead)
        return 0;
    length = size_min(length, flow->tx.length);
    if (length == 0)
        return 0;
    size_t before = flow_unsent(flow);
    fifo_take(&flow->tx, NULL, length);
    if (flow_unsent(flow) < before)
        flow->taken = world.now;
    trace("flow %u: client takes %zu", flow->number, length);
    wake_writer(flow);
    return length;
}

void flow_client_urge(struct flow *flow)
{
    if (flow->dead || flow->fin_in || flow->closed)
        return;
    flow->urgent = flow->rx.length;
    trace("flow %u: client urges", flow->number);
    files_wake(flow->fd, EPOLLIN | EPOLLPRI);
    world.progress = true; // the client's, not the daemon's: it costs a turn
}

void flow_client_fin(struct flow *flow)
{
    if (flow->dead || flow->fin_in)
        return;
    flow->fin_in = true;
    trace("flow %u: client sends FIN", flow->number);
    files_wake(flow->fd, 0);
}

void flow_client_close(struct flow *flow)
{
    trace("flow %u: client closes", flow->number);
    flow->abandoned = true;
    if (flow->tx.length > 0)
        flow_reset(flow, ECONNRESET);
    else
        flow_client_fin(flow);
}

static int take_error(struct flow *flow)
{
    int error = flow->error;

    flow->error = 0;
    return error;
}

// An error is told once, by whichever call comes first.
long flow_peek(struct flow *flow)
{
    if (flow->rx.length > 0)
        return 1;
    if (flow->error)
        return -take_error(flow);
    return flow->fin_in || flow->dead ? 0 : -EAGAIN;
}

long flow_recv(struct flow *flow, char *bytes, size_t length, bool cut_short)
{
    if (flow->rx.length == 0)
        return flow_peek(flow);
    length = size_min(length, flow->rx.length);
    // tcp(7): a read never goes beyond the mark, but the next one does.
    if (flow->urgent == 0)
        flow->urgent = NO_URGENT;
    length = size_min(length, flow->urgent);
    if (cut_short && length > 1)
        length = between(1, length - 1);
    else
        cut_short = false;
    fifo_take(&flow->rx, bytes, length);
    if (flow->urgent != NO_URGENT)
        flow->urgent -= length;
    // As if the rest had arrived just after.
    if (cut_short)
        files_wake(flow->fd, flow->fin_in ? 0 : EPOLLIN);
    client_poke(flow->client);
    return (long)length;
}

void flow_press(struct flow *flow)
{
    flow->pressure = world.now + between(1000, 100 * MILLISECOND);
    flow->no_space = true;
    world_at(flow->pressure, wake_writer, flow);
}

static void client_is_gone(void *subject)
{
    struct flow *flow = subject;

    flow_reset(flow, flow->fin_read ? EPIPE : ECONNRESET);
}

long flow_send(struct flow *flow, const char *bytes, size_t length, bool cut_short)
{
    if (flow->error)
        return -take_error(flow);
    if (flow->dead || flow->fin_out)
        return -EPIPE;
    size_t before = flow_unsent(flow), room = flow->tx_room + flow->window - flow->tx.length;
    if (flow->pressure > world.now)
        room = 0;
    if (room == 0) {
        flow->no_space = true;
        return -EAGAIN;
    }
    size_t went = size_min(length, room);
    if (cut_short && went > 1) {
        went = between(1, went - 1);
        flow_press(flow);
    }
    flow->no_space |= went < length;
    fifo_put(&flow->tx, bytes, went);
    if (flow_unsent(flow) - before < went)
        flow->taken = world.now; // for the client's system has taken the rest
    if (flow->abandoned)
        world_at(world.now + between(1000, MILLISECOND), client_is_gone, flow);
    client_poke(flow->client);
    return (long)went;
}

long flow_shutdown(struct flow *flow)
{
    if (flow->dead)
        return -ENOTCONN;
    flow->fin_out = true;
    client_poke(flow->client);
    return 0;
}

void flow_accept(struct flow *flow, int fd)
{
    flow->fd = fd;
    flow->index = flows.held_count;
    flows.held[flows.held_count++] = flow;
}

void flow_close(struct flow *flow)
{
    struct flow *last = flows.held[--flows.held_count];

    flows.held[last->index = flow->index] = last;
    flow->closed = flow->fin_out = true;
    flow->fd = -1;
    // Input that nobody has read is answered with RST, and what was sent is lost with it.
    if (flow->rx.length > 0 || flow->lingers)
        flow_reset(flow, ECONNRESET);
    client_poke(flow->client);
}
