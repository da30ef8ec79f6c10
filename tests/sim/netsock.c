// SPDX-License-Identifier: MIT
#include "netsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "files.h"
#include "flow.h"
#include "memory.h"
#include "world.h"

enum { DATAGRAMS_MAX = 400 };

static struct {
    struct netsock *first;
    enum ipv6 ipv6;
    uint16_t next_port;
} net;

void netsock_begin(enum ipv6 ipv6)
{
    net.first = NULL;
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
    socket->next = net.first;
    net.first = *opened = socket;
    return 0;
}

// Two sockets of one protocol on one port, where their addresses overlap.
static bool taken(const struct netsock *socket, const struct sockaddr_in6 *address)
{
    for (const struct netsock *other = net.first; other; other = other->next)
        if (other != socket && other->type == socket->type && other->bound_to_port &&
            other->bound.sin6_port == address->sin6_port &&
            (other->family == socket->family || (other->family == AF_INET6 && !other->v6only) ||
             (socket->family == AF_INET6 && !socket->v6only)) &&
            memcmp(&other->bound.sin6_addr, &address->sin6_addr, sizeof address->sin6_addr) == 0)
            return true;
    return false;
}

int netsock_bind(struct netsock *socket, const struct sockaddr *address)
{
    struct sockaddr_in6 wanted = netsock_address(address);

    if (wanted.sin6_port == 0)
        wanted.sin6_port = htons(net.next_port++);
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
    return 0;
}

void question_free(struct question *question)
{
    if (!question)
        return;
    memory_own(question->bytes, 0);
    memory_own(question, 0);
}

static void free_questions(struct question *question)
{
    while (question) {
        struct question *next = question->next;

        question_free(question);
        question = next;
    }
}

void netsock_close(struct netsock *socket)
{
    struct netsock **link = &net.first;
    struct flow *flow;

    while ((flow = netsock_dequeue(socket)))
        flow_reset(flow, ECONNRESET);
    while (*link != socket)
        link = &(*link)->next;
    *link = socket->next;
    free_questions(socket->oldest);
    free_questions(socket->batch);
    memory_own(socket, 0);
}

struct netsock *netsock_first(void)
{
    return net.first;
}

struct netsock *netsock_find(int type, bool v4)
{
    for (struct netsock *socket = net.first; socket; socket = socket->next)
        if (socket->type == type && socket->bound_to_port &&
            (socket->listening || type == SOCK_DGRAM) &&
            (v4 ? socket->family == AF_INET ||
                      (!socket->v6only && IN6_IS_ADDR_UNSPECIFIED(&socket->bound.sin6_addr))
                : socket->family == AF_INET6))
            return socket;
    return NULL;
}

void netsock_enqueue(struct netsock *socket, struct flow *flow)
{
    flow->next = NULL;
    if (socket->first)
        socket->last->next = flow;
    else
        socket->first = flow;
    socket->last = flow;
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

void netsock_arrive(struct netsock *socket, struct question *question)
{
    if (socket->datagrams == DATAGRAMS_MAX) {
        question_free(question);
        return;
    }
    question->next = NULL;
    if (socket->oldest)
        socket->newest->next = question;
    else
        socket->oldest = question;
    socket->newest = question;
    socket->datagrams++;
    files_wake(socket->fd, EPOLLIN);
}

uint32_t netsock_poll(const struct netsock *socket)
{
    if (socket->type == SOCK_STREAM)
        return socket->first ? EPOLLIN : 0;
    return EPOLLOUT | (socket->oldest ? EPOLLIN : 0);
}

bool netsock_is_v4(const struct sockaddr_in6 *address)
{
    return IN6_IS_ADDR_V4MAPPED(&address->sin6_addr);
}

socklen_t netsock_name(const struct sockaddr_in6 *address, int family, struct sockaddr *name,
                       socklen_t room)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->sin6_port};
    socklen_t length = family == AF_INET ? sizeof v4 : sizeof *address;

    memcpy(&v4.sin_addr, address->sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    memcpy(name, family == AF_INET ? (const void *)&v4 : address, length < room ? length : room);
    return length;
}

struct sockaddr_in6 netsock_address(const struct sockaddr *name)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    struct sockaddr_in v4;

    if (name->sa_family == AF_INET6) {
        memcpy(&address, name, sizeof address);
        return address;
    }
    memcpy(&v4, name, sizeof v4);
    address.sin6_port = v4.sin_port;
    address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
    memcpy(address.sin6_addr.s6_addr + 12, &v4.sin_addr, sizeof v4.sin_addr);
    return address;
}

const char *netsock_text(const struct sockaddr_in6 *address, char text[80])
{
    char ip[INET6_ADDRSTRLEN], scope[16] = "";

    if (netsock_is_v4(address)) {
        inet_ntop(AF_INET, address->sin6_addr.s6_addr + 12, ip, sizeof ip);
        snprintf(text, 80, "%s:%u", ip, ntohs(address->sin6_port));
        return text;
    }
    inet_ntop(AF_INET6, &address->sin6_addr, ip, sizeof ip);
    if (address->sin6_scope_id != 0)
        snprintf(scope, sizeof scope, "%%%u", address->sin6_scope_id);
    snprintf(text, 80, "[%s%s]:%u", ip, scope, ntohs(address->sin6_port));
    return text;
}

struct sockaddr_in6 netsock_parse(const char *text, uint16_t port)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char mapped[INET6_ADDRSTRLEN];

    snprintf(mapped, sizeof mapped, strchr(text, ':') ? "%s" : "::ffff:%s", text);
    inet_pton(AF_INET6, mapped, &address.sin6_addr);
    return address;
}
