// SPDX-License-Identifier: MIT
// Where datagrams come from: honest clients, forged addresses, broadcasts, other servers.

#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "memory.h"
#include "netsock.h"
#include "server.h"
#include "world.h"

enum { DATAGRAMS_MAX = 3000, TRAIN_MAX = 64 }; // in a universe; in one message

static struct {
    uint64_t sources, pace, burst, left;
} sender;

static uint16_t choose_port(const struct netsock *socket, uint64_t source)
{
    static const uint16_t odd[] = {0, 1, 7, 53, 1023, 1024, 65535};

    if (one_in(12))
        return odd[between(0, ARRAY_LENGTH(odd) - 1)];
    if (one_in(12))
        return socket->bound.port;
    return (uint16_t)(2000 + source);
}

static struct address choose_peer(const struct netsock *socket, bool v4)
{
    static const char *const v4s[] = {"192.0.2.7",       "127.0.0.1", "224.0.0.1",
                                      "255.255.255.255", "0.0.0.0",   "203.0.113.5"};
    static const char *const v6s[] = {"2001:db8::7", "::1",     "ff02::1",
                                      "::",          "fe80::5", "2001:db8::8"};
    uint64_t at = between(0, 5);

    // Forged ones are rare enough that honest ones fill a batch.
    if (at >= 2 && at <= 4 && !one_in(4))
        at = 0;
    struct address peer =
        netsock_parse((v4 ? v4s : v6s)[at], choose_port(socket, between(0, sender.sources - 1)));
    if (IN6_IS_ADDR_LINKLOCAL(&peer.ip))
        peer.scope = (uint32_t)between(1, 2);
    return peer;
}

static struct address choose_local(const struct netsock *socket, bool v4, bool *to_host)
{
    static const char *const v4s[] = {"192.0.2.1", "127.0.0.1", "192.0.2.255", "224.0.0.251"};
    static const char *const v6s[] = {"2001:db8::1", "::1", "2001:db8::1", "ff02::fb"};
    uint64_t at = one_in(10) ? between(2, 3) : between(0, 1);

    *to_host = !(v4 && at >= 2);
    return netsock_parse((v4 ? v4s : v6s)[at], socket->bound.port);
}

static void put_bytes(struct question *question, size_t room)
{
    struct fifo bytes = {.room = 0};
    uint64_t kind = between(0, 9);
    size_t length = magnitude(kind == 0 ? room : kind == 1 ? 2 * room : 40);

    if (kind == 2)
        length = room - 1 + between(0, 2);
    length = size_min(length, 65507);
    if (kind == 3)
        fifo_put(&bytes, "ERR ", between(0, 4));
    if (kind >= 4 && kind <= 6) {
        const char *command = talk_command();

        if (question->role == &role_faulty && !one_in(3))
            talk_fault(&bytes);
        else
            fifo_put(&bytes, command, strlen(command));
        length = 0;
    }
    for (size_t i = 0; i < length; i++)
        fifo_put(&bytes, &(char){(char)between(0, 255)}, 1);
    question->length = bytes.length;
    question->bytes = memory_own(NULL, bytes.length + 1);
    if (bytes.length > 0)
        memcpy(question->bytes, fifo_first(&bytes), bytes.length);
    fifo_finish(&bytes);
}

static void resize(struct question *question, size_t length)
{
    question->bytes = memory_own(question->bytes, length + 1);
    if (length > question->length)
        memset(question->bytes + question->length, ' ', length - question->length);
    question->length = length;
}

// Further ones of the same sender's, all as long as the first one, or the last one shorter.
static void send_train(struct netsock *socket, const struct question *first)
{
    size_t length = first->length, count = size_min(between(1, TRAIN_MAX - 1), 65507 / length - 1);

    for (size_t left = count; left > 0; left--) {
        struct question *question = memory_own(NULL, sizeof *question);

        *question = *first;
        put_bytes(question, world.server->options.max_datagram);
        question->joins = true;
        resize(question, left > 1 ? length : between(1, length));
        netsock_arrive(socket, question);
    }
}

static void send_one(void)
{
    static const int hops[] = {64, 64, 64, 64, 64, 255, 128, 2, 1, 0};
    bool v4 = one_in(2);
    struct netsock *socket = netsock_find(SOCK_DGRAM, v4);

    if (!socket)
        return;
    struct question *question = memory_own(NULL, sizeof *question);
    *question = (struct question){.peer = choose_peer(socket, v4),
                                  .hop_limit = hops[between(0, 9)],
                                  .class = (int)between(0, 255),
                                  .role = netsock_duty(socket).role};
    question->local = choose_local(socket, v4, &question->to_host);
    put_bytes(question, world.server->options.max_datagram);
    const struct question first = *question; // which may not live on
    netsock_arrive(socket, question);
    if (first.length > 0 && one_in(6))
        send_train(socket, &first);
}

static void act(void *subject)
{
    (void)subject;
    if (world.hush || world.draining)
        return;
    uint64_t burst = one_in(3) ? sender.burst : magnitude(sender.burst);
    for (uint64_t left = 1 + burst; left > 0 && sender.left > 0; left--, sender.left--)
        send_one();
    if (sender.left > 0)
        world_at(world.now + between(1000, sender.pace), act, NULL);
}

void sender_begin(void)
{
    static const uint64_t pace[] = {MILLISECOND, 100 * MILLISECOND, 5 * SECOND, 100 * SECOND};

    sender.sources = 1 + magnitude(60);
    if (one_in(100))
        sender.sources = 3000;
    sender.pace = pace[between(0, 3)];
    sender.left = magnitude(DATAGRAMS_MAX);
    sender.burst = magnitude(200);
    if (one_in(2))
        world_at(world.now + between(MILLISECOND, SECOND), act, NULL);
}
