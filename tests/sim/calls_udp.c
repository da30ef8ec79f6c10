// SPDX-License-Identifier: MIT
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "calls.h"
#include "fault.h"
#include "files.h"
#include "judge.h"
#include "netsock.h"
#include "server.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

static struct cmsghdr *put(struct msghdr *message, struct cmsghdr *at, int level, int type,
                           const void *data, size_t length)
{
    if (!at) {
        message->msg_flags |= MSG_CTRUNC;
        return NULL;
    }
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(at), data, length);
    return (struct cmsghdr *)((char *)at + CMSG_SPACE(length));
}

// IPv4 datagrams come with IPv4's messages on any socket, and with IPv6's too on IPv6's.
static void put_control(const struct netsock *socket, const struct question *question,
                        struct msghdr *message)
{
    struct in_pktinfo info = {.ipi_ifindex = 1};
    struct in6_pktinfo info6 = {.ipi6_addr = question->local.ip, .ipi6_ifindex = 1};
    bool v4 = address_is_v4(&question->local);
    uint8_t tos = (uint8_t)question->class; // a byte, where IPv6 has an int
    char *start = message->msg_control;
    struct cmsghdr *at = (struct cmsghdr *)start;

    memset(start, 0, message->msg_controllen);
    memcpy(&info.ipi_addr, question->local.ip.s6_addr + 12, 4);
    info.ipi_spec_dst.s_addr = question->to_host ? info.ipi_addr.s_addr : htonl(INADDR_LOOPBACK);
    if (v4 && socket->pktinfo)
        at = put(message, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    if (v4 && socket->hops)
        at = put(message, at, IPPROTO_IP, IP_TTL, &question->hop_limit, sizeof(int));
    if (v4 && socket->class_v4)
        at = put(message, at, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    if (socket->family == AF_INET6)
        at = put(message, at, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
    if (!v4)
        at = put(message, at, IPPROTO_IPV6, IPV6_HOPLIMIT, &question->hop_limit, sizeof(int));
    if (!v4 && socket->class_v6)
        at = put(message, at, IPPROTO_IPV6, IPV6_TCLASS, &question->class, sizeof(int));
    message->msg_controllen = (size_t)((char *)at - start);
}

static void receive(struct netsock *socket, struct question *question, struct mmsghdr *into)
{
    struct msghdr *message = &into->msg_hdr;
    struct iovec *room = message->msg_iov;
    size_t length = message->msg_iovlen > 0 ? size_min(question->length, room->iov_len) : 0;

    must(message->msg_iovlen == (question->role != &role_discard)); // which looks at nothing

    question->truncated = question->length > world.server->options.max_datagram;
    message->msg_flags = length < question->length ? MSG_TRUNC : 0;
    if (length > 0)
        memcpy(room->iov_base, question->bytes, length);
    into->msg_len = (unsigned)question->length;
    message->msg_namelen =
        netsock_name(&question->peer, socket->family, message->msg_name, message->msg_namelen);
    put_control(socket, question, message);
    judge_question(socket, question);
}

static long receive_all(struct netsock *socket, struct mmsghdr *messages, unsigned count)
{
    unsigned got = 0;

    if (count > 1 && fault_short())
        count = 1;
    while (got < count && socket->oldest) {
        struct question *question = socket->oldest;

        socket->oldest = question->next;
        socket->datagrams--;
        receive(socket, question, &messages[got++]);
    }
    return got > 0 ? (long)got : -EAGAIN;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout)
{
    struct netsock *socket = socket_of(fd);

    enter();
    must(flags == (MSG_TRUNC | MSG_DONTWAIT) && !timeout);
    judge_batch_over(socket, false);
    int error = fault_error(CALL_RECVMMSG, NULL);
    long result = error ? -error : receive_all(socket, messages, count);
    if (error && error != EINTR && error != EAGAIN)
        judge_receive_failed(socket);
    else if (result > 0)
        socket->failures = 0;
    return (int)leave("recvmmsg", fd, result);
}

// These mean that the message at hand cannot be sent, not that none can.
static bool costs_message(int error)
{
    return error != EINTR && error != EAGAIN && error != ENOBUFS && error != ENOMEM;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    struct netsock *socket = socket_of(fd);

    enter();
    must(flags == (MSG_NOSIGNAL | MSG_DONTWAIT) && count > 0);
    int error = fault_error(CALL_SENDMMSG, NULL);
    if (error && costs_message(error))
        judge_answer(socket, &messages[0].msg_hdr, false);
    else if (error && error != EINTR)
        judge_batch_over(socket, true);
    if (error)
        return (int)leave("sendmmsg", fd, -error);
    if (count > 1 && fault_short())
        count = (unsigned)between(1, count - 1);
    for (unsigned i = 0; i < count; i++) {
        messages[i].msg_len = (unsigned)messages[i].msg_hdr.msg_iov->iov_len;
        judge_answer(socket, &messages[i].msg_hdr, true);
    }
    world.progress = true;
    return (int)leave("sendmmsg", fd, count);
}
