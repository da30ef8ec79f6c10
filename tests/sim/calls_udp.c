// SPDX-License-Identifier: MIT
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
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

enum { TRAIN_MAX = 64, TRAIN_MAX_BYTES = 65507 }; // of datagrams that travel as one message

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

// IPv4 datagrams come with IPv4's messages on any socket, and with IPv6's too on IPv6's. SEGMENT:
// of a train, or 0.
static void put_control(const struct netsock *socket, const struct question *question, int segment,
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
    if (segment > 0)
        at = put(message, at, IPPROTO_UDP, UDP_GRO, &segment, sizeof segment);
    message->msg_controllen = (size_t)((char *)at - start);
}

static void take(struct netsock *socket, struct question *question, struct mmsghdr *into)
{
    struct msghdr *message = &into->msg_hdr;
    size_t room = message->msg_iovlen > 0 ? message->msg_iov->iov_len : 0;

    question->truncated = question->length > world.server->options.max_datagram;
    if (into->msg_len < room)
        memcpy((char *)message->msg_iov->iov_base + into->msg_len, question->bytes,
               size_min(question->length, room - into->msg_len));
    into->msg_len += (unsigned)question->length;
    socket->oldest = question->next;
    socket->datagrams--;
    judge_question(socket, question);
}

// Whether the datagram that waits next comes in one message with those before it, of which it is
// number COUNT.
static bool travels(const struct netsock *socket, const struct question *first, size_t length,
                    unsigned count)
{
    const struct question *next = socket->oldest;

    return socket->trains && next && next->joins && count < TRAIN_MAX &&
           next->length <= first->length && length % first->length == 0 &&
           length + next->length <= TRAIN_MAX_BYTES && next->hop_limit == first->hop_limit &&
           next->class == first->class && netsock_same(&next->peer, &first->peer) &&
           netsock_same(&next->local, &first->local);
}

// The oldest datagram, or a train of them.
static void receive(struct netsock *socket, struct mmsghdr *into)
{
    struct msghdr *message = &into->msg_hdr;
    const struct question first = *socket->oldest; // which may not live on
    unsigned count = 1;

    must(message->msg_iovlen == (first.role != &role_discard)); // which looks at nothing
    message->msg_namelen =
        netsock_name(&first.peer, socket->family, message->msg_name, message->msg_namelen);
    into->msg_len = 0;
    take(socket, socket->oldest, into);
    for (; travels(socket, &first, into->msg_len, count); count++)
        take(socket, socket->oldest, into);
    put_control(socket, &first, count > 1 ? (int)first.length : 0, message);
    message->msg_flags =
        message->msg_iovlen == 0 || into->msg_len > message->msg_iov->iov_len ? MSG_TRUNC : 0;
}

static long receive_all(struct netsock *socket, struct mmsghdr *messages, unsigned count)
{
    unsigned got = 0;

    if (count > 1 && fault_short())
        count = 1;
    while (got < count && socket->oldest)
        receive(socket, &messages[got++]);
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

// The size of the datagrams that MESSAGE is to be cut into, or 0.
static uint16_t segment_of(struct msghdr *message)
{
    uint16_t segment = 0;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at))
        if (at->cmsg_level == IPPROTO_UDP) {
            must(at->cmsg_type == UDP_SEGMENT && at->cmsg_len == CMSG_LEN(sizeof segment));
            memcpy(&segment, CMSG_DATA(at), sizeof segment);
            must(segment > 0 && segment < message->msg_iov->iov_len);
            must((message->msg_iov->iov_len - 1) / segment < TRAIN_MAX);
        }
    return segment;
}

static void send_message(struct netsock *socket, struct mmsghdr *out)
{
    const struct iovec all = *out->msg_hdr.msg_iov;
    struct msghdr one = out->msg_hdr;
    uint16_t segment = segment_of(&out->msg_hdr);
    struct iovec bytes = all;

    one.msg_iov = &bytes;
    one.msg_controllen -= segment > 0 ? CMSG_SPACE(sizeof segment) : 0; // which stands last
    if (segment == 0)
        judge_answer(socket, &one, true);
    for (size_t at = 0; segment > 0 && at < all.iov_len; at += segment) {
        bytes = (struct iovec){(char *)all.iov_base + at, size_min(segment, all.iov_len - at)};
        judge_answer(socket, &one, true);
    }
    out->msg_len = (unsigned)all.iov_len;
}

// What a route or a device does not take whole has not been lost yet.
static int send_error(struct msghdr *first)
{
    static const int refused[] = {EINVAL, EMSGSIZE, EIO};

    if (segment_of(first) > 0 && one_in(10))
        return refused[between(0, ARRAY_LENGTH(refused) - 1)];
    return fault_error(CALL_SENDMMSG, NULL);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    struct netsock *socket = socket_of(fd);

    enter();
    must(flags == (MSG_NOSIGNAL | MSG_DONTWAIT) && count > 0);
    int error = send_error(&messages[0].msg_hdr);
    bool train = segment_of(&messages[0].msg_hdr) > 0;
    if (error && costs_message(error) && !train)
        judge_answer(socket, &messages[0].msg_hdr, false);
    else if (error && !train && error != EINTR)
        judge_batch_over(socket, true);
    if (error)
        return (int)leave("sendmmsg", fd, -error);
    if (count > 1 && fault_short())
        count = (unsigned)between(1, count - 1);
    for (unsigned i = 0; i < count; i++)
        send_message(socket, &messages[i]);
    world.progress = true;
    return (int)leave("sendmmsg", fd, count);
}
