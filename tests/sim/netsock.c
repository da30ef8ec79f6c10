// SPDX-License-Identifier: MIT
#include "netsock.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>

#include "files.h"
#include "flow.h"
#include "memory.h"
#include "world.h"

enum { DATAGRAMS_MAX = 400 };

static struct {
    enum ipv6 ipv6;
    uint16_t next_port;
} net;

struct netsock *netsocks;

const struct further further_ports[FURTHER_PORTS] = {
    {"raw:7007", 7007, {&role_raw, false}},
    {"discard:7009", 7009, {&role_discard, false}},
    {"echo:7012", 7012, {&role_echo, false}},
    {"faulty:7013", 7013, {&role_faulty, false}},
    {"raw+proxy:7107", 7107, {&role_raw, true}},
    {"discard+proxy:7109", 7109, {&role_discard, true}},
    {"echo+proxy:7112", 7112, {&role_echo, true}},
    {"faulty+proxy:7113", 7113, {&role_faulty, true}},
};

void netsock_begin(enum ipv6 ipv6)
{
    netsocks = NULL;
    net.ipv6 = ipv6;
    net.next_port = 40000;
}

int netsock_open(int family, int type, struct netsock **opened)
{
    if (family == AF_INET6 && net.ipv6 == IPV6_NONE)
        return EAFNOSUPPORT;
    struct netsock *socket = memory_own(NULL, sizeof *socket);
    int fd = files_open(FILE_SOCKET, socket);
    *socket = (struct netsock){.fd = fd, .family = family, .type = type, .v6only = false};
    if (fd < 0) {
        memory_own(socket, 0);
        return EMFILE;
    }
    socket->next = netsocks;
    netsocks = *opened = socket;
    return 0;
}

// Two sockets of one protocol on one port, where their addresses overlap.
static bool taken(const struct netsock *socket, const struct address *address)
{
    for (const struct netsock *other = netsocks; other; other = other->next)
        if (other != socket && other->type == socket->type && other->bound_to_port &&
            (other->family == socket->family || (other->family == AF_INET6 && !other->v6only) ||
             (socket->family == AF_INET6 && !socket->v6only)) &&
            netsock_same(&other->bound, address))
            return true;
    return false;
}

int netsock_bind(struct netsock *socket, const struct sockaddr *address)
{
    struct address wanted = address_of((const void *)address);

    if (wanted.port == 0)
        wanted.port = net.next_port++;
    if (taken(socket, &wanted))
        return EADDRINUSE;
    socket->bound = wanted;
    socket->bound_to_port = true;
    return 0;
}

int netsock_set(struct netsock *socket, int level, int name, int value)
{
    if (level == IPPROTO_IPV6 && socket->family != AF_INET6)
        return ENOPROTOOPT;
    if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY) {
        if (!value && net.ipv6 == IPV6_SEPARATE)
            return EINVAL;
        socket->v6only = value;
    }
    // IPv4's options are asked of every datagram socket, IPv6's of those that have it: all of a
    // kind are set together, so the last one stands for them.
    socket->pktinfo |= (level == IPPROTO_IP && name == IP_PKTINFO);
    socket->hops |= (level == IPPROTO_IP && name == IP_RECVTTL);
    if (level == IPPROTO_UDP && name == UDP_GRO)
        socket->trains = value;
    socket->class_v4 |= level == IPPROTO_IP && name == IP_RECVTOS && value;
    socket->class_v6 |= level == IPPROTO_IPV6 && name == IPV6_RECVTCLASS && value;
    return 0;
}

struct question *question_free(struct question *question)
{
    struct question *next = question->next;

    memory_own(question->bytes, 0);
    memory_own(question, 0);
    return next;
}

void netsock_close(struct netsock *socket)
{
    struct netsock **link = &netsocks;
    struct flow *flow;

    while ((flow = netsock_dequeue(socket)))
        flow_reset(flow, ECONNRESET);
    while (*link != socket)
        link = &(*link)->next;
    *link = socket->next;
    while (socket->oldest)
        socket->oldest = question_free(socket->oldest);
    while (socket->batch)
        socket->batch = question_free(socket->batch);
    memory_own(socket, 0);
}

struct duty netsock_duty(const struct netsock *socket)
{
    for (size_t i = 0; i < FURTHER_PORTS; i++)
        if (further_ports[i].number == socket->bound.port)
            return further_ports[i].duty;
    return (struct duty){.role = &role_echo};
}

static bool reaches(const struct netsock *socket, int type, bool v4)
{
    return socket->type == type && socket->bound_to_port &&
           (socket->listening || type == SOCK_DGRAM) &&
           (v4 ? socket->family == AF_INET ||
                     (!socket->v6only && IN6_IS_ADDR_UNSPECIFIED(&socket->bound.ip))
               : socket->family == AF_INET6);
}

struct netsock *netsock_find(int type, bool v4)
{
    struct netsock *found = NULL;
    uint64_t count = 0;

    for (struct netsock *socket = netsocks; socket; socket = socket->next)
        if (reaches(socket, type, v4) && one_in(++count))
            found = socket;
    return found;
}

void netsock_enqueue(struct netsock *socket, struct flow *flow)
{
    struct flow **link = &socket->first;

    while (*link)
        link = &(*link)->next;
    *link = flow;
    flow->next = NULL;
    socket->waiting++;
    files_wake(socket->fd, EPOLLIN);
}

struct flow *netsock_dequeue(struct netsock *socket)
{
    struct flow *flow = socket->first;

    if (!flow)
        return NULL;
    socket->first = flow->next;
    socket->waiting--;
    return flow;
}

void question_add(struct question **queue, struct question *question)
{
    while (*queue)
        queue = &(*queue)->next;
    *queue = question;
    question->next = NULL;
}

void netsock_arrive(struct netsock *socket, struct question *question)
{
    if (socket->datagrams == DATAGRAMS_MAX) {
        question_free(question);
        return;
    }
    question_add(&socket->oldest, question);
    socket->datagrams++;
    files_wake(socket->fd, EPOLLIN);
}

uint32_t netsock_poll(const struct netsock *socket)
{
    if (socket->type == SOCK_STREAM)
        return socket->first ? EPOLLIN : 0;
    return EPOLLOUT | (socket->oldest ? EPOLLIN : 0);
}

socklen_t netsock_name(const struct address *address, int family, struct sockaddr *name,
                       socklen_t room)
{
    struct sockaddr_storage storage;
    socklen_t length = address_store(address, family, &storage);

    memcpy(name, &storage, length < room ? length : room);
    return length;
}

bool netsock_same(const struct address *a, const struct address *b)
{
    return a->port == b->port && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

struct address netsock_parse(const char *text, uint16_t port)
{
    struct address address;

    if (!address_parse(text, &address))
        fail("the simulation itself has no address '%s'", text);
    address.port = port;
    return address;
}
