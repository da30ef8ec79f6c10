// SPDX-License-Identifier: MIT
#include "transport/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/guard.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"
#include "transport/control.h"

enum {
    TRAIN_MAX_BYTES = 65535, // datagrams that come as one message: udp(7), UDP_GRO
};

struct udp_batch {
    struct mmsghdr in[UDP_BATCH_MAX], out[UDP_BATCH_MAX];
    struct iovec in_bytes[UDP_BATCH_MAX], out_bytes[UDP_BATCH_MAX];
    struct sockaddr_storage from[UDP_BATCH_MAX];
    struct control in_control[UDP_BATCH_MAX], out_control[UDP_BATCH_MAX];
    size_t segment[UDP_BATCH_MAX]; // of out, where it is several datagrams: as in struct datagram
    size_t answers;                // messages in out
    bool open;                     // the last of these can take in what stands behind it
    size_t came, answered, sent;   // datagrams, in this turn
    unsigned fragment;         // what answers may have to be cut to: the least of the questions'
    uint32_t lost;             // see struct port
    char *text[UDP_BATCH_MAX]; // what answers are written to
    char bytes[];
};

bool udp_init(struct udp *udp, struct pool *pool)
{
    size_t most = pool->options->max_datagram, room = TRAIN_MAX_BYTES;
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

// All that message I of the batch has, which may be several datagrams.
static struct datagram message_of(const struct udp *udp, const struct port *port, size_t i)
{
    struct mmsghdr *in = &udp->batch->in[i];
    const struct iovec *bytes = in->msg_hdr.msg_iov;
    struct datagram message = {
        .peer = address_of(in->msg_hdr.msg_name),
        .bytes = bytes->iov_base,
        .held = port->role->blind ? 0 : size_min(in->msg_len, bytes->iov_len),
        .length = in->msg_len, // with MSG_TRUNC the whole length
        .dscp = -1,
    };

    control_read(&in->msg_hdr, &message);
    message.local.port = port->local.port;
    return message;
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

// Whether the sender of MESSAGE may have replies at all, which makes it a peer.
static enum drop admit(struct udp *udp, const struct datagram *message, uint32_t *peer)
{
    struct service *service = udp->pool->service;
    enum drop drop = guard_addresses(message, &service->ports);
    bool first;

    if (drop != DROP_NONE)
        return drop;
    *peer = peers_heard(&service->peers, &message->peer, loop_now(udp->pool->loop), &first);
    if (first)
        count_peer(service, &message->peer);
    return DROP_NONE;
}

// Whether DATAGRAM, one of an admitted peer's, may have a reply.
static enum drop admit_one(struct udp *udp, const struct port *port,
                           const struct datagram *datagram, uint32_t peer)
{
    enum drop drop = guard_content(datagram, port->role->verbatim);

    if (drop == DROP_NONE &&
        !peers_allow_round(&udp->pool->service->peers, peer, guard_digest(datagram)))
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

static const char *end_of(const struct iovec *bytes)
{
    return (const char *)bytes->iov_base + bytes->iov_len;
}

// Has REPLY go out in one message with the answer before it, where both are nothing but what came,
// side by side in one message too: the kernel cuts it as that was cut.
static bool join(struct udp_batch *batch, const struct datagram *datagram,
                 const struct reply *reply)
{
    size_t last = batch->answers - 1;

    if (!batch->open || end_of(&batch->out_bytes[last]) != reply->bytes)
        return false;
    if (batch->segment[last] == 0) {
        batch->segment[last] = datagram->segment;
        control_cut(&batch->out[last].msg_hdr, (uint16_t)datagram->segment);
    }
    batch->out_bytes[last].iov_len += reply->length;
    return true;
}

// Makes REPLY a message of its own behind the others of the batch; it is not among them yet.
static struct msghdr *lay_out(struct udp_batch *batch, const struct datagram *datagram, size_t i,
                              const struct reply *reply)
{
    size_t last = batch->answers;
    struct msghdr *message = &batch->out[last].msg_hdr;

    batch->segment[last] = 0;
    batch->out_bytes[last] = (struct iovec){(char *)reply->bytes, reply->length};
    *message = (struct msghdr){
        .msg_name = batch->in[i].msg_hdr.msg_name,
        .msg_namelen = batch->in[i].msg_hdr.msg_namelen,
        .msg_iov = &batch->out_bytes[last],
        .msg_iovlen = 1,
    };
    control_write(datagram, &batch->out_control[last], message);
    return message;
}

// Puts the answer to DATAGRAM, which is message I of the batch or a part of it, among those of the
// batch, where there is room; or says why there is none.
static enum drop answer_one(struct udp *udp, const struct port *port,
                            const struct datagram *datagram, size_t i, uint32_t peer)
{
    struct udp_batch *batch = udp->batch;
    struct turn turn = {.input = datagram->bytes,
                        .length = datagram->length,
                        .ended = true,
                        .reply.buffer = batch->text[batch->answers]};
    struct facts facts;
    enum drop drop = admit_one(udp, port, datagram, peer);

    if (drop != DROP_NONE)
        return drop;
    enum outcome outcome = answer(port, datagram, &turn, &facts);
    if (outcome == TURN_SILENT)
        return DROP_SILENT;
    if (turn.reply.length > datagram->length &&
        !peers_allow_longer(&udp->pool->service->peers, peer, loop_now(udp->pool->loop)))
        return DROP_RATE;
    if (datagram->fragment > 0 && (batch->fragment == 0 || datagram->fragment < batch->fragment))
        batch->fragment = datagram->fragment;
    if (outcome == TURN_WAIT)
        return delay(udp, port, lay_out(batch, datagram, i, &turn.reply), turn.wait_ms);
    if (!join(batch, datagram, &turn.reply)) {
        lay_out(batch, datagram, i, &turn.reply);
        batch->answers++;
    }
    batch->answered++;
    batch->open = turn.reply.bytes == datagram->bytes && turn.reply.length == datagram->segment;
    return DROP_NONE;
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

// Sends messages in their order: the number that went out, and in *ERROR why the next one did not,
// or 0.
static size_t send_some(struct udp *udp, int fd, struct mmsghdr *out, size_t count, int *error)
{
    size_t sent = 0;

    *error = 0;
    while (sent < count && *error == 0) {
        int done = sendmmsg(fd, out + sent, (unsigned)(count - sent), MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done > 0) {
            count_sent(udp, out + sent, done);
            sent += (size_t)done;
        } else if (done == 0) {
            // Linux answers 0 only where no message is to be sent. Without a case of its own,
            // another 0 would be an endless loop.
            *error = EAGAIN;
        } else if (errno != EINTR) {
            *error = errno;
        }
    }
    return sent;
}

// There is no room at all: what is left is dropped, as the network might have done.
static bool none_goes(int error)
{
    return error == EAGAIN || net_exhausted(error);
}

// Sends messages of one datagram each: the number that went out. One that cannot be sent does not
// keep back the others. *ERROR is as send_some's.
static size_t send_each(struct udp *udp, int fd, struct mmsghdr *out, size_t count, int *error)
{
    size_t sent = 0;

    *error = 0;
    for (size_t at = 0; at < count && !none_goes(*error); at++) {
        size_t some = send_some(udp, fd, out + at, count - at, error);

        sent += some;
        at += some;
        if (*error != 0 && !none_goes(*error))
            tell_lost(udp, *error);
    }
    return sent;
}

// Sends the datagrams of MESSAGE one by one, as send_each does. For the kernel does not cut
// what would have to be fragmented then (EMSGSIZE, EINVAL), nor for devices and policies that
// cannot send it (EIO); there may be room for one that there is not for all; and whatever else
// befalls one of them, the others may fare better.
static size_t send_apart(struct udp *udp, int fd, struct msghdr *message, size_t segment,
                         int *error)
{
    struct mmsghdr out[UDP_BATCH_MAX];
    struct iovec bytes[UDP_BATCH_MAX];
    const struct iovec all = *message->msg_iov;
    size_t count = 0, sent = 0;

    control_join(message);
    *error = 0;
    for (size_t at = 0; at < all.iov_len && !none_goes(*error); at += segment) {
        bytes[count] =
            (struct iovec){(char *)all.iov_base + at, size_min(segment, all.iov_len - at)};
        out[count] = (struct mmsghdr){.msg_hdr = *message};
        out[count].msg_hdr.msg_iov = &bytes[count];
        if (++count == UDP_BATCH_MAX || at + segment >= all.iov_len) {
            sent += send_each(udp, fd, out, count, error);
            count = 0;
        }
    }
    return sent;
}

// Of message I of the answers.
static size_t datagrams_in(const struct udp_batch *batch, size_t i)
{
    size_t segment = batch->segment[i];

    return segment == 0 ? 1 : (batch->out_bytes[i].iov_len + segment - 1) / segment;
}

// Sends the answers of the batch, which then has none.
static void flush(struct udp *udp, struct port *port)
{
    struct udp_batch *batch = udp->batch;
    int error = 0;

    if (batch->fragment != port->fragment)
        net_fragment(port->watch.fd, port->fragment = batch->fragment);
    for (size_t at = 0; at < batch->answers && !none_goes(error); at++) {
        size_t some = send_some(udp, port->watch.fd, batch->out + at, batch->answers - at, &error);

        for (; some > 0; some--, at++)
            batch->sent += datagrams_in(batch, at);
        if (error != 0 && batch->segment[at] > 0)
            batch->sent += send_apart(udp, port->watch.fd, &batch->out[at].msg_hdr,
                                      batch->segment[at], &error);
        else if (error != 0 && !none_goes(error))
            tell_lost(udp, error);
    }
    batch->answers = 0;
    batch->open = false;
}

// Deals with message I of the batch, datagram by datagram.
static void take(struct udp *udp, struct port *port, size_t i)
{
    struct udp_batch *batch = udp->batch;
    struct counters *counters = &udp->pool->service->counters;
    struct datagram message = message_of(udp, port, i), one = message;
    size_t most = message.segment > 0 ? message.segment : message.length, at = 0;
    uint32_t peer = 0;
    enum drop refused = admit(udp, &message, &peer);

    if (message.lost > 0)
        batch->lost = message.lost;
    do {
        one.bytes = message.bytes + at;
        one.length = size_min(most, message.length - at);
        one.held = size_min(one.length, message.held - size_min(at, message.held));
        one.truncated = one.length > udp->pool->options->max_datagram;
        enum drop drop = refused == DROP_NONE ? answer_one(udp, port, &one, i, peer) : refused;
        if (drop < DROPS)
            counters->udp_dropped[drop]++;
        if (batch->answers == UDP_BATCH_MAX)
            flush(udp, port);
        batch->came++;
        at += most;
    } while (at < message.length);
}

// By how many messages the next batch is to be smaller than it may be, after one of MOST that
// brought CAME with DATAGRAMS in them: who sends trains keeps others waiting no longer than who
// sends as many datagrams one by one.
static unsigned fewer_next(unsigned most, unsigned came, size_t datagrams)
{
    size_t next = datagrams > UDP_BATCH_MAX ? came * (size_t)UDP_BATCH_MAX / datagrams : 2 * most;

    return UDP_BATCH_MAX - (unsigned)size_min(next > 0 ? next : 1, UDP_BATCH_MAX);
}

int udp_turn(struct udp *udp, struct port *port)
{
    struct udp_batch *batch = udp->batch;
    struct counters *counters = &udp->pool->service->counters;

    for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
        batch->in[i].msg_hdr.msg_namelen = sizeof batch->from[i];
        batch->in[i].msg_hdr.msg_controllen = sizeof batch->in_control[i];
        batch->in[i].msg_hdr.msg_iovlen = !port->role->blind;
    }
    unsigned most = UDP_BATCH_MAX - port->fewer;
    int came = recvmmsg(port->watch.fd, batch->in, most, MSG_TRUNC | MSG_DONTWAIT, NULL);
    if (came < 0)
        return -1;
    batch->came = batch->answered = batch->sent = 0;
    batch->fragment = 0;
    batch->lost = port->lost;
    for (int i = 0; i < came; i++) {
        counters->received[PROTOCOL_UDP] += batch->in[i].msg_len;
        take(udp, port, (size_t)i);
    }
    flush(udp, port);
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", LOG_TEXT("proto", "udp"), LOG_NUMBER("fd", port->watch.fd),
                    LOG_NUMBER("came", batch->came), LOG_NUMBER("answers", batch->answered),
                    LOG_NUMBER("sent", batch->sent));
    counters->messages[PROTOCOL_UDP] += batch->came;
    counters->udp_answered += batch->sent;
    counters->udp_dropped[DROP_SEND] += batch->answered - batch->sent;
    counters->udp_dropped[DROP_KERNEL] += batch->lost - port->lost; // it wraps round
    port->lost = batch->lost;
    port->fewer = fewer_next(most, (unsigned)came, batch->came);
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
    int error;
    size_t sent = send_each(udp, delayed->port->watch.fd, &out, 1, &error);

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
