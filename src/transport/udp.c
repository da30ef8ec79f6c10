// SPDX-License-Identifier: MIT
#include "transport/udp.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/guard.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"

enum {
    // IP_PKTINFO, IP_TTL, IP_TOS, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_RECVFRAGSIZE and
    // SO_RXQ_OVFL, and room to spare.
    CONTROL_BYTES = 256,
    DSCP_MASK = 0xfc, // of the traffic class; the rest is ECN (RFC 2474, RFC 3168)
    ROOM_MIN = 4,     // what the guard looks at, however small --max-datagram is
};

struct control {
    alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

struct udp_batch {
    struct mmsghdr in[UDP_BATCH_MAX], out[UDP_BATCH_MAX];
    struct iovec in_bytes[UDP_BATCH_MAX], out_bytes[UDP_BATCH_MAX];
    struct sockaddr_storage from[UDP_BATCH_MAX];
    struct control in_control[UDP_BATCH_MAX], out_control[UDP_BATCH_MAX];
    unsigned fragment;         // what answers may have to be cut to: the least of the questions'
    uint32_t lost;             // see struct port
    char *text[UDP_BATCH_MAX]; // what answers are written to
    char bytes[];
};

bool udp_init(struct udp *udp, struct pool *pool)
{
    size_t most = pool->options->max_datagram;
    size_t room = most > ROOM_MIN ? most : ROOM_MIN;
    size_t text = most < TURN_TEXT_MAX_BYTES ? TURN_TEXT_MAX_BYTES : most + 1;
    struct udp_batch *batch = calloc(1, sizeof *batch + UDP_BATCH_MAX * (room + text));

    *udp = (struct udp){.pool = pool, .batch = batch, .told = TICKS_NEVER};
    for (size_t i = 0; batch && i < UDP_BATCH_MAX; i++) {
        batch->in_bytes[i] = (struct iovec){batch->bytes + i * room, room};
        batch->text[i] = batch->bytes + UDP_BATCH_MAX * room + i * text;
        batch->in[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->from[i],
            .msg_iov = &batch->in_bytes[i],
            .msg_control = &batch->in_control[i],
        };
    }
    return batch;
}

void udp_finish(struct udp *udp)
{
    delayed_finish(&udp->delayed);
    free(udp->batch);
}

static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *at)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" // within musl's macro
    return CMSG_NXTHDR(message, at);
#pragma GCC diagnostic pop
}

// Where the datagram was sent to, with which hop limit, and in which pieces: ip(7), ipv6(7).
static void read_control(struct msghdr *message, struct datagram *datagram)
{
    // uncovered: the test is CMSG_FIRSTHDR's own, for messages without control data. Linux always
    // gives what was asked for.
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
        } else if (!is_v4 && at->cmsg_type == IPV6_RECVFRAGSIZE) {
            memcpy(&datagram->fragment, CMSG_DATA(at), sizeof datagram->fragment);
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&datagram->lost, CMSG_DATA(at), sizeof datagram->lost);
        } else if (is_v4 ? at->cmsg_type == IP_TTL : at->cmsg_type == IPV6_HOPLIMIT) {
            memcpy(&datagram->hop_limit, CMSG_DATA(at), sizeof datagram->hop_limit);
        } else if (is_v4 && at->cmsg_type == IP_TOS) { // a single byte, where IPv6 has an int
            datagram->dscp = *CMSG_DATA(at) & DSCP_MASK;
        } else if (!is_v4 && at->cmsg_type == IPV6_TCLASS) {
            memcpy(&datagram->dscp, CMSG_DATA(at), sizeof datagram->dscp);
            datagram->dscp &= DSCP_MASK;
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

// From the address that was asked, with one hop less than the question, and with its DSCP if that
// is known. MESSAGE has no control data yet.
static void write_control(const struct datagram *datagram, struct control *control,
                          struct msghdr *message)
{
    struct cmsghdr *at = (struct cmsghdr *)(void *)control->bytes;
    int hop_limit = datagram->hop_limit - 1;

    message->msg_control = control;
    if (address_is_v4(&datagram->local)) {
        struct in_pktinfo v4 = {.ipi_spec_dst = address_v4(&datagram->local)};

        put_control(message, &at, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
        put_control(message, &at, IPPROTO_IP, IP_TTL, &hop_limit, sizeof hop_limit);
        if (datagram->dscp >= 0)
            put_control(message, &at, IPPROTO_IP, IP_TOS, &datagram->dscp, sizeof datagram->dscp);
    } else {
        struct in6_pktinfo v6 = {.ipi6_addr = datagram->local.ip,
                                 .ipi6_ifindex = datagram->local.scope};

        put_control(message, &at, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
        put_control(message, &at, IPPROTO_IPV6, IPV6_HOPLIMIT, &hop_limit, sizeof hop_limit);
        if (datagram->dscp >= 0)
            put_control(message, &at, IPPROTO_IPV6, IPV6_TCLASS, &datagram->dscp,
                        sizeof datagram->dscp);
    }
}

static struct datagram datagram_of(const struct port *port, struct mmsghdr *in)
{
    const struct iovec *bytes = in->msg_hdr.msg_iov;
    struct datagram datagram = {
        .peer = address_of(in->msg_hdr.msg_name),
        .bytes = bytes->iov_base,
        .held = port->role->blind ? 0 : size_min(in->msg_len, bytes->iov_len),
        .length = in->msg_len, // with MSG_TRUNC the whole length
        .dscp = -1,
        .truncated = in->msg_len > port->pool->options->max_datagram,
    };

    read_control(&in->msg_hdr, &datagram);
    datagram.local.port = port->local.port;
    return datagram;
}

// Has the role make its answer to DATAGRAM in TURN, with room for FACTS.
static enum outcome answer(const struct port *port, const struct datagram *datagram,
                           struct turn *turn, struct facts *facts)
{
    enum outcome outcome;

    if (datagram->truncated && !port->role->blind) {
        struct text text = reply_text(&turn->reply);

        text_string(&text, "ERR datagram-truncated\n");
        reply_add(&turn->reply, &text);
        return TURN_MORE;
    }
    while ((outcome = port->role->datagram(turn)) == TURN_FACTS) {
        *facts = pool_facts(port->pool, PROTOCOL_UDP, datagram->peer, datagram->local);
        turn->facts = facts;
    }
    if (turn->reply.texts > 0)
        counters_add_commands(&port->pool->service->counters, turn->reply.asked);
    return outcome;
}

static void count_peer(struct service *service, const struct address *peer)
{
    service->counters.total_clients++;
    if (log_enabled(LOG_DETAIL))
        log_limited(LOG_DETAIL, "peer heard", LOG_TEXT("proto", "udp"),
                    LOG_TEXT("peer", ADDRESS_STRING(peer)));
}

// Whether DATAGRAM may have a reply at all.
static enum drop admit(struct udp *udp, const struct port *port, const struct datagram *datagram,
                       uint32_t *peer)
{
    struct service *service = udp->pool->service;
    enum drop drop = guard_addresses(datagram, &service->ports);
    bool first;

    if (drop != DROP_NONE)
        return drop;
    *peer = peers_heard(&service->peers, &datagram->peer, loop_now(udp->pool->loop), &first);
    if (first)
        count_peer(service, &datagram->peer);
    drop = guard_content(datagram, port->role->verbatim);
    if (drop == DROP_NONE && !peers_allow_round(&service->peers, *peer, guard_digest(datagram)))
        return DROP_RATE;
    return drop;
}

// Has MESSAGE go out later; at the graceful end that is soon. What is dropped for it is counted
// here.
static enum drop delay(struct udp *udp, const struct port *port, const struct msghdr *message,
                       uint32_t milliseconds)
{
    struct pool *pool = udp->pool;
    uint64_t due = loop_clock(pool->loop) + milliseconds * UINT64_C(1000000);

    pool->service->counters.udp_dropped[DROP_RATE] +=
        delayed_keep(&udp->delayed, (struct port *)port, message, due);
    return DROP_SILENT;
}

// Makes the answer to the datagram in place I of the batch in place OUT, or says why there is none.
static enum drop answer_into(struct udp *udp, const struct port *port, size_t i, size_t out)
{
    struct udp_batch *batch = udp->batch;
    struct peers *peers = &udp->pool->service->peers;
    struct datagram datagram = datagram_of(port, &batch->in[i]);
    struct turn turn = {.input = datagram.bytes,
                        .length = datagram.length,
                        .ended = true,
                        .reply.buffer = batch->text[out]};
    struct facts facts;
    uint32_t peer = 0;
    enum drop drop = admit(udp, port, &datagram, &peer);

    if (datagram.lost > 0)
        batch->lost = datagram.lost;
    if (drop != DROP_NONE)
        return drop;
    enum outcome outcome = answer(port, &datagram, &turn, &facts);
    if (outcome == TURN_SILENT)
        return DROP_SILENT;
    if (turn.reply.length > datagram.length &&
        !peers_allow_longer(peers, peer, loop_now(udp->pool->loop)))
        return DROP_RATE;
    batch->out_bytes[out] = (struct iovec){(char *)turn.reply.bytes, turn.reply.length};
    batch->out[out].msg_hdr = (struct msghdr){
        .msg_name = batch->in[i].msg_hdr.msg_name,
        .msg_namelen = batch->in[i].msg_hdr.msg_namelen,
        .msg_iov = &batch->out_bytes[out],
        .msg_iovlen = 1,
    };
    write_control(&datagram, &batch->out_control[out], &batch->out[out].msg_hdr);
    if (datagram.fragment > 0 && (batch->fragment == 0 || datagram.fragment < batch->fragment))
        batch->fragment = datagram.fragment;
    return outcome == TURN_WAIT ? delay(udp, port, &batch->out[out].msg_hdr, turn.wait_ms)
                                : DROP_NONE;
}

// Some errors lie with one peer or the way to it, and are told by nobody. The others may stay.
static void tell_lost(struct udp *udp, int error)
{
    static const int single[] = {EACCES, ENETUNREACH,  EHOSTUNREACH, EMSGSIZE,
                                 EINVAL, ECONNREFUSED, EADDRNOTAVAIL};

    for (size_t i = 0; i < ARRAY_LENGTH(single); i++)
        if (single[i] == error)
            return;
    if (ticks_tell(&udp->told, loop_now(udp->pool->loop)))
        log_event(LOG_WARNING, "cannot send, answers are lost", LOG_TEXT("proto", "udp"),
                  LOG_TEXT("error", strerror(error)));
}

static void count_sent(struct udp *udp, const struct mmsghdr *out, int count)
{
    for (int i = 0; i < count; i++)
        udp->pool->service->counters.sent[PROTOCOL_UDP] += out[i].msg_len;
}

// The number of answers that went out. One that cannot be sent does not keep back the others; if
// there is no room at all, the rest is dropped, as the network might have done.
static size_t send_all(struct udp *udp, int fd, struct mmsghdr *out, size_t count)
{
    size_t sent = 0;

    for (size_t at = 0; at < count;) {
        int done = sendmmsg(fd, out + at, (unsigned)(count - at), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done > 0) {
            count_sent(udp, out + at, done);
            at += (size_t)done;
            sent += (size_t)done;
        } else if (done == 0 || errno == EAGAIN || net_exhausted(errno)) {
            // Linux answers 0 only where no message is to be sent. Without a case of its own,
            // another 0 would be an endless loop.
            break;
        } else if (errno != EINTR) {
            tell_lost(udp, errno);
            at++;
        }
    }
    return sent;
}

int udp_turn(struct udp *udp, struct port *port)
{
    struct udp_batch *batch = udp->batch;
    struct counters *counters = &udp->pool->service->counters;
    size_t answers = 0;

    for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
        batch->in[i].msg_hdr.msg_namelen = sizeof batch->from[i];
        batch->in[i].msg_hdr.msg_controllen = sizeof batch->in_control[i];
        batch->in[i].msg_hdr.msg_iovlen = !port->role->blind;
    }
    int came = recvmmsg(port->watch.fd, batch->in, UDP_BATCH_MAX, MSG_TRUNC | MSG_DONTWAIT, NULL);
    if (came < 0)
        return -1;
    batch->fragment = 0;
    batch->lost = port->lost;
    for (int i = 0; i < came; i++) {
        enum drop drop = answer_into(udp, port, (size_t)i, answers);

        counters->received[PROTOCOL_UDP] += batch->in[i].msg_len;
        answers += drop == DROP_NONE;
        if (drop < DROPS)
            counters->udp_dropped[drop]++;
    }
    if (batch->fragment != port->fragment)
        net_fragment(port->watch.fd, port->fragment = batch->fragment);
    size_t sent = send_all(udp, port->watch.fd, batch->out, answers);
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", LOG_TEXT("proto", "udp"), LOG_NUMBER("fd", port->watch.fd),
                    LOG_NUMBER("came", came), LOG_NUMBER("answers", answers),
                    LOG_NUMBER("sent", sent));
    counters->messages[PROTOCOL_UDP] += (size_t)came;
    counters->udp_answered += sent;
    counters->udp_dropped[DROP_SEND] += answers - sent;
    counters->udp_dropped[DROP_KERNEL] += batch->lost - port->lost; // it wraps round
    port->lost = batch->lost;
    return came;
}

static void send_delayed(struct udp *udp, struct delayed *delayed)
{
    struct counters *counters = &udp->pool->service->counters;
    struct iovec bytes = {delayed->bytes + delayed->control_length, delayed->length};
    struct mmsghdr out = {.msg_hdr = {.msg_name = &delayed->to,
                                      .msg_namelen = delayed->to_length,
                                      .msg_iov = &bytes,
                                      .msg_iovlen = 1,
                                      .msg_control = delayed->bytes,
                                      .msg_controllen = delayed->control_length}};
    size_t sent = send_all(udp, delayed->port->watch.fd, &out, 1);

    counters->udp_answered += sent;
    counters->udp_dropped[DROP_SEND] += 1 - sent;
}

void udp_wake(struct udp *udp, uint64_t now)
{
    struct delayed *delayed;

    for (int i = 0; i < UDP_BATCH_MAX && (delayed = delayed_take(&udp->delayed, now)); i++) {
        send_delayed(udp, delayed);
        free(delayed);
    }
}

int udp_ready(struct udp *udp, struct port *port)
{
    return udp_turn(udp, port) < 0 ? errno : 0;
}
