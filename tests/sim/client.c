// SPDX-License-Identifier: MIT
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fifo.h"
#include "flow.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "server.h"
#include "world.h"

enum reading { READS_ALL, READS_LITTLE, READS_SIPS, READS_LATE, READS_NEVER };
enum ending { ENDS_WITH_FIN, ENDS_WITH_CLOSE, ENDS_WITH_RESET, ENDS_NEVER };

enum { CLIENTS_MAX = 1024, TRIES_MAX = 20 };

struct client {
    struct address address;
    struct flow *flow;
    uint64_t due;  // of the next act, or NEVER
    uint64_t pace; // between two acts, at most
    struct talk talk;
    struct fifo out;
    enum reading reading;
    uint64_t reads_from;
    enum ending ending;
    uint64_t ends_at; // whatever is left to say; or NEVER
    bool polite;      // sends nothing after the server's FIN, and closes soon
    unsigned tries;
    bool urges; // sends bytes out of band
    bool done;
};

static struct {
    struct client *client[CLIENTS_MAX];
    unsigned count;
    uint16_t port;
} clients;

void client_begin(void)
{
    clients.count = 0;
    clients.port = 20000;
}

void client_finish_all(void)
{
    while (clients.count > 0) {
        struct client *client = clients.client[--clients.count];

        fifo_finish(&client->out);
        memory_own(client, 0);
    }
}

static void act(void *subject);

static void act_at(struct client *client, uint64_t at)
{
    if (client->done || client->due <= at)
        return;
    client->due = at;
    world_at(at, act, client);
}

void client_poke(struct client *client)
{
    act_at(client, world.now + between(1000, client->pace));
}

// What the port wants first. Elsewhere, a header is bytes like any others.
static void begin_talk(struct client *client)
{
    const struct header *header = client->flow->header;
    struct header *stray = !header && one_in(20) ? header_create() : NULL;

    client->talk.faults = client->flow->role == &role_faulty;

    if (header && !one_in(8)) {
        fifo_put(&client->out, header->bytes, header->length);
        fifo_put(&client->out, "/whoami\n", one_in(2) ? 8 : 0);
    } else if (header) {
        fifo_put(&client->out, header->bytes, one_in(3) ? 0 : between(1, header->length - 1));
        client->talk.budget = 0;
    } else if (stray) {
        fifo_put(&client->out, stray->bytes, stray->length);
    }
    memory_own(stray, 0);
}

static void connect_flow(struct client *client)
{
    client->flow = flow_open(client, &client->address, 16 + magnitude(200000),
                             16 + magnitude(one_in(4) ? 64 : 200000));
    if (client->flow) {
        trace("flow %u: client connects", client->flow->number);
        begin_talk(client);
    } else if (++client->tries == TRIES_MAX || world.ending) {
        client->done = true;
    }
    if (!client->done)
        act_at(client, world.now + between(1000, client->pace));
}

static bool reads(const struct client *client)
{
    return client->reading != READS_NEVER &&
           (client->reading != READS_LATE || world.now >= client->reads_from);
}

static void read_some(struct client *client)
{
    struct flow *flow = client->flow;

    if (client->reading == READS_LITTLE)
        flow_client_recv(flow, between(1, 3000));
    else if (client->reading == READS_SIPS)
        flow_client_recv(flow, between(1, 1 + flow->tx_room / 100));
    else if (reads(client))
        flow_client_recv(flow, flow->tx.length);
}

static void write_some(struct client *client)
{
    struct flow *flow = client->flow;

    if (client->polite && flow->fin_out && flow->tx.length == 0)
        return;
    if (client->out.length == 0)
        talk_next(&client->talk, &client->out);
    size_t chunk =
        client->talk.kind == TALK_TRICKLE ? between(1, 3) : 1 + magnitude(client->out.length);
    chunk = size_min(chunk, client->out.length);
    if (client->urges && one_in(5))
        flow_client_urge(flow);
    fifo_take(&client->out, NULL, flow_client_send(flow, fifo_first(&client->out), chunk));
}

static bool said_all(const struct client *client)
{
    return client->out.length == 0 && client->talk.budget == 0;
}

static void end(struct client *client)
{
    struct flow *flow = client->flow;
    static const int error[] = {ECONNRESET, ECONNRESET, ETIMEDOUT, ECONNABORTED, EHOSTUNREACH};

    if (client->ending == ENDS_WITH_FIN) {
        flow_client_fin(flow);
    } else if (client->ending == ENDS_WITH_CLOSE) {
        client->done = true;
        flow_client_close(flow);
    } else if (client->ending == ENDS_WITH_RESET) {
        client->done = true;
        flow_reset(flow, error[between(0, 4)]);
    }
}

static void end_some_time(struct client *client)
{
    const struct flow *flow = client->flow;

    if (client->ends_at <= world.now || said_all(client))
        end(client);
    if (!client->done && client->polite && flow->fin_out && flow->tx.length == 0) {
        client->done = true;
        flow_client_close(client->flow);
    }
}

// Whether anything is left to do without being poked.
static bool busy(const struct client *client)
{
    const struct flow *flow = client->flow;

    return !client->done &&
           ((!flow->fin_in && !said_all(client) && flow->rx.length < flow->rx_room) ||
            (reads(client) && flow->tx.length > 0) || (client->polite && flow->fin_out));
}

static void act(void *subject)
{
    struct client *client = subject;

    if (client->due > world.now || client->done || world.hush)
        return; // it acts sooner or later than was planned
    client->due = NEVER;
    if (!client->flow) {
        connect_flow(client);
        return;
    }
    client->done = client->flow->dead;
    if (client->done)
        return;
    read_some(client);
    write_some(client);
    end_some_time(client);
    if (busy(client))
        act_at(client, world.now + between(1000, client->pace));
    else if (client->reading == READS_LATE && world.now < client->reads_from)
        act_at(client, client->reads_from);
    else if (client->ends_at != NEVER && client->ends_at > world.now)
        act_at(client, client->ends_at);
}

static void choose_manner(struct client *client, uint64_t start)
{
    client->reading = (enum reading)between(0, 8);
    if (client->reading > READS_NEVER)
        client->reading = READS_ALL;
    client->reads_from = start + magnitude(20 * SECOND);
    client->ending = (enum ending)between(0, 5);
    if (client->ending > ENDS_NEVER)
        client->ending = ENDS_WITH_FIN;
    client->ends_at = one_in(4) ? start + magnitude(20 * SECOND) : NEVER;
    client->urges = one_in(10);
    client->polite = !one_in(4);
}

void client_create(uint64_t start, bool stopper)
{
    static const char *const from[] = {"127.0.0.1",    "127.1.2.3",      "192.0.2.7",
                                       "198.51.100.9", "203.0.113.250",  "::1",
                                       "2001:db8::7",  "2001:db8:1::99", "fd00::1:2"};
    static const uint64_t pace[] = {
        100000, 100000, 5 * MILLISECOND, 5 * MILLISECOND, 300 * MILLISECOND, 5 * SECOND};

    if (clients.count == CLIENTS_MAX)
        return;
    struct client *client = memory_own(NULL, sizeof *client);
    *client = (struct client){
        .address = netsock_parse(from[between(0, ARRAY_LENGTH(from) - 1)], clients.port++),
        .due = NEVER};
    client->pace = pace[between(0, ARRAY_LENGTH(pace) - 1)];
    clients.client[clients.count++] = client;
    choose_manner(client, start);
    act_at(client, start);
    if (stopper) {
        client->talk = (struct talk){.text = "/shutdown " JUDGE_TOKEN "\n", .budget = 1};
        client->reading = READS_ALL;
        client->ends_at = NEVER;
    } else {
        talk_begin(&client->talk, world.server->options.max_line);
    }
    if (client->talk.kind == TALK_ENDLESS)
        client->pace = MILLISECOND;
    if (client->reading == READS_SIPS) {
        client->pace = SECOND;
        client->talk.kind = TALK_FLOOD;
        client->talk.budget = 300000;
    }
}
