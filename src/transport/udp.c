// SPDX-License-Identifier: MIT
#include "transport/udp.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/guard.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"

enum {
    // IP_PKTINFO, IP_TTL, IPV6_PKTINFO and IPV6_HOPLIMIT, and room to spare.
    CONTROL_BYTES = 192,
    DRAIN_TURNS_MAX = 256,
    ROOM_MIN = 4, // what the guard looks at, however small --max-datagram is
};

struct udp_socket {
    struct list link;
    struct watch watch;
    struct udp *udp;
    uint16_t port;
};

struct control {
    alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

struct udp_batch {
    struct mmsghdr in[UDP_BATCH_MAX], out[UDP_BATCH_MAX];
    struct iovec in_bytes[UDP_BATCH_MAX], out_bytes[UDP_BATCH_MAX];
    struct sockaddr_storage from[UDP_BATCH_MAX];
    struct control in_control[UDP_BATCH_MAX], out_control[UDP_BATCH_MAX];
    char answer[UDP_BATCH_MAX][ANSWER_MAX_BYTES];
    char bytes[]; // UDP_BATCH_MAX times --max-datagram
};

bool udp_init(struct udp *udp, struct loop *loop, const struct options *options,
              struct service *service)
{
    size_t room = options->max_datagram > ROOM_MIN ? options->max_datagram : ROOM_MIN;
    struct udp_batch *batch = calloc(1, sizeof *batch + UDP_BATCH_MAX * room);

    *udp = (struct udp){.loop = loop, .options = options, .service = service, .batch = batch};
    list_init(&udp->sockets);
    for (size_t i = 0; batch && i < UDP_BATCH_MAX; i++) {
        batch->in_bytes[i] = (struct iovec){batch->bytes + i * room, room};
        batch->in[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->from[i],
            .msg_iov = &batch->in_bytes[i],
            .msg_iovlen = 1,
            .msg_control = &batch->in_control[i],
        };
    }
    return batch;
}

static void socket_close(struct udp_socket *socket)
{
    loop_remove(socket->udp->loop, &socket->watch);
    close(socket->watch.fd);
    list_remove(&socket->link);
    free(socket);
}

void udp_close(struct udp *udp)
{
    while (!list_empty(&udp->sockets))
        socket_close(container_of(udp->sockets.next, struct udp_socket, link));
}

void udp_finish(struct udp *udp)
{
    udp_close(udp);
    free(udp->batch);
}

static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *at)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" // within musl's macro
    return CMSG_NXTHDR(message, at);
#pragma GCC diagnostic pop
}

// Where the datagram was sent to, and with which hop limit: ip(7), ipv6(7).
static void read_control(struct msghdr *message, struct datagram *datagram)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = next_control(message, at)) {
        struct in_pktinfo v4;
        struct in6_pktinfo v6;
        bool is_v4 = at->cmsg_level == IPPROTO_IP;

        if (is_v4 && at->cmsg_type == IP_PKTINFO) {
            memcpy(&v4, CMSG_DATA(at), sizeof v4);
            datagram->local = address_of_v4(v4.ipi_addr);
            // For a broadcast, the kernel names an own address beside the one in the header. For
            // what has waited at a passed socket since before IP_PKTINFO was set, it names none; if
            // that was a broadcast, it lets no answer go out from such an address (EINVAL).
            datagram->to_host = v4.ipi_spec_dst.s_addr == v4.ipi_addr.s_addr ||
                                v4.ipi_spec_dst.s_addr == INADDR_ANY;
        } else if (!is_v4 && at->cmsg_type == IPV6_PKTINFO && !address_is_v4(&datagram->peer)) {
            memcpy(&v6, CMSG_DATA(at), sizeof v6);
            datagram->local.ip = v6.ipi6_addr;
            datagram->local.scope =
                IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr) ? (uint32_t)v6.ipi6_ifindex : 0;
            datagram->to_host = true;
        } else if (is_v4 ? at->cmsg_type == IP_TTL : at->cmsg_type == IPV6_HOPLIMIT) {
            memcpy(&datagram->hop_limit, CMSG_DATA(at), sizeof datagram->hop_limit);
        }
    }
}

static void put_control(struct msghdr *message, struct cmsghdr **at, int level, int type,
                        const void *data, size_t length)
{
    (*at)->cmsg_level = level;
    (*at)->cmsg_type = type;
    (*at)->cmsg_len = (socklen_t)CMSG_LEN(length);
    memcpy(CMSG_DATA(*at), data, length);
    message->msg_controllen += (socklen_t)CMSG_SPACE(length); // musl: not a size_t
    *at = (struct cmsghdr *)(void *)((char *)*at + CMSG_SPACE(length));
}

// From the address that was asked, and with one hop less than the question.
static void write_control(const struct datagram *datagram, struct control *control,
                          struct msghdr *message)
{
    struct cmsghdr *at = (struct cmsghdr *)(void *)control->bytes;
    int hop_limit = datagram->hop_limit - 1;

    message->msg_control = control;
    message->msg_controllen = 0;
    if (address_is_v4(&datagram->local)) {
        struct in_pktinfo v4 = {.ipi_spec_dst = address_v4(&datagram->local)};

        put_control(message, &at, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
        put_control(message, &at, IPPROTO_IP, IP_TTL, &hop_limit, sizeof hop_limit);
    } else {
        struct in6_pktinfo v6 = {.ipi6_addr = datagram->local.ip,
                                 .ipi6_ifindex = datagram->local.scope};

        put_control(message, &at, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
        put_control(message, &at, IPPROTO_IPV6, IPV6_HOPLIMIT, &hop_limit, sizeof hop_limit);
    }
}

static struct datagram datagram_of(const struct udp_socket *socket, struct mmsghdr *in)
{
    const struct iovec *bytes = in->msg_hdr.msg_iov;
    struct datagram datagram = {
        .peer = address_of(in->msg_hdr.msg_name),
        .bytes = bytes->iov_base,
        .held = size_min(in->msg_len, bytes->iov_len),
        .length = in->msg_len, // with MSG_TRUNC the whole length
        .truncated = in->msg_len > socket->udp->options->max_datagram,
    };

    read_control(&in->msg_hdr, &datagram);
    datagram.local.port = socket->port;
    return datagram;
}

// What is answered to DATAGRAM: the datagram itself, or a text in ROOM.
static struct iovec answer(struct udp *udp, const struct datagram *datagram,
                           char room[ANSWER_MAX_BYTES])
{
    struct text text = text_in(room, ANSWER_MAX_BYTES);

    if (datagram->truncated) {
        text_string(&text, ANSWER_DATAGRAM_TRUNCATED);
    } else if (answer_is_command(datagram->bytes, datagram->length)) {
        struct timespec time;

        clock_gettime(CLOCK_REALTIME, &time); // cannot fail for this clock
        struct facts facts = service_facts(udp->service, PROTOCOL_UDP, loop_now(udp->loop), time);
        facts.peer = datagram->peer;
        facts.local = datagram->local;
        answer_command(datagram->bytes, datagram->length, &facts, &udp->service->gate, &text);
    } else {
        return (struct iovec){(char *)datagram->bytes, datagram->length};
    }
    return (struct iovec){text.bytes, text.length};
}

// Makes the answer to the datagram in place I of the batch in place OUT. False if there is none.
static bool prepare(struct udp_socket *socket, size_t i, size_t out)
{
    struct udp *udp = socket->udp;
    struct udp_batch *batch = udp->batch;
    struct service *service = udp->service;
    struct datagram datagram = datagram_of(socket, &batch->in[i]);
    ticks now = loop_now(udp->loop);
    bool first;

    if (!guard_accepts_addresses(&datagram, socket->port))
        return false;
    uint32_t peer = peers_heard(&service->peers, &datagram.peer, now, &first);
    service->counters.total_clients += first;
    if (!guard_accepts_content(&datagram))
        return false;
    struct iovec bytes = answer(udp, &datagram, batch->answer[out]);
    if (bytes.iov_len > datagram.length && !peers_allow_longer(&service->peers, peer, now))
        return false;
    batch->out_bytes[out] = bytes;
    batch->out[out].msg_hdr = (struct msghdr){
        .msg_name = batch->in[i].msg_hdr.msg_name,
        .msg_namelen = batch->in[i].msg_hdr.msg_namelen,
        .msg_iov = &batch->out_bytes[out],
        .msg_iovlen = 1,
    };
    write_control(&datagram, &batch->out_control[out], &batch->out[out].msg_hdr);
    return true;
}

// The number of answers that went out. One that cannot be sent does not keep back the others; if
// there is no room at all, the rest is dropped, as the network might have done.
static size_t send_batch(int fd, struct mmsghdr *out, size_t count)
{
    size_t sent = 0;

    for (size_t at = 0; at < count;) {
        int done = sendmmsg(fd, out + at, (unsigned)(count - at), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done > 0) {
            at += (size_t)done;
            sent += (size_t)done;
        } else if (done == 0 || errno == EAGAIN || net_exhausted(errno)) {
            break;
        } else if (errno != EINTR) {
            at++;
        }
    }
    return sent;
}

// One turn. The number of datagrams that came, or -1 with errno.
static int serve(struct udp_socket *socket)
{
    struct udp_batch *batch = socket->udp->batch;
    struct counters *counters = &socket->udp->service->counters;
    size_t answers = 0;

    for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
        batch->in[i].msg_hdr.msg_namelen = sizeof batch->from[i];
        batch->in[i].msg_hdr.msg_controllen = sizeof batch->in_control[i];
    }
    int came = recvmmsg(socket->watch.fd, batch->in, UDP_BATCH_MAX, MSG_TRUNC | MSG_DONTWAIT, NULL);
    if (came < 0)
        return -1;
    for (int i = 0; i < came; i++)
        answers += prepare(socket, (size_t)i, answers);
    size_t sent = send_batch(socket->watch.fd, batch->out, answers);
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", "proto", "udp", "fd", LOG_NUMBER(socket->watch.fd), "came",
                    LOG_NUMBER(came), "answers", LOG_NUMBER(answers), "sent", LOG_NUMBER(sent),
                    NULL);
    counters->udp_answered += sent;
    counters->udp_dropped += (size_t)came - sent;
    return came;
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct udp_socket *socket = container_of(watch, struct udp_socket, watch);

    (void)events;
    // An error that waited at the socket is gone with the call that tells it (socket(7), SO_ERROR).
    if (serve(socket) < 0 && errno != EAGAIN && errno != EINTR)
        log_limited(LOG_WARNING, "cannot receive", "proto", "udp", "error", strerror(errno), NULL);
}

int udp_serve(struct udp *udp, int fd)
{
    struct udp_socket *socket = malloc(sizeof *socket);
    struct address local;

    if (socket && net_local(fd, &local) == 0) {
        *socket = (struct udp_socket){
            .watch = {.ready = socket_ready, .fd = fd}, .udp = udp, .port = local.port};
        if (loop_add(udp->loop, &socket->watch, EPOLLIN) == 0) {
            list_append(&udp->sockets, &socket->link);
            return 0;
        }
    }
    int error = errno;
    free(socket);
    close(fd);
    errno = error;
    return -1;
}

void udp_announce(const struct udp *udp)
{
    for (struct list *at = udp->sockets.next; at != &udp->sockets; at = at->next)
        net_announce(container_of(at, struct udp_socket, link)->watch.fd, "udp");
}

void udp_drain(struct udp *udp, bool own)
{
    while (!list_empty(&udp->sockets)) {
        struct udp_socket *socket = container_of(udp->sockets.next, struct udp_socket, link);

        for (int i = 0; own && i < DRAIN_TURNS_MAX && serve(socket) == UDP_BATCH_MAX; i++)
            continue;
        socket_close(socket);
    }
}
