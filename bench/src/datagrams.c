// SPDX-License-Identifier: MIT
#include "datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "payload.h"
#include "train.h"

enum { BATCH_MAX = 64, REFUSAL_MAX = 64 };

struct datagrams {
    struct traffic traffic;
    uint64_t mask; // of the places for messages in flight: a power of two, less one
    struct mmsghdr in[BATCH_MAX], out[BATCH_MAX];
    struct iovec in_bytes[BATCH_MAX], out_bytes[BATCH_MAX];
    union train_control in_control[BATCH_MAX];
    size_t in_room, out_room; // bytes of what is received, and of one datagram that is sent
    unsigned batch;           // datagrams that are sent by one call
    bool trains;              // as one message; false too where the kernel has refused that
    char bytes[];
};

// Datagrams come in any order or not at all: each has a place of its own while it is in flight.
struct flight {
    uint64_t since; // its latency counts from here
    uint64_t sent;  // when it was begun; 0: this place is free
};

struct plug {
    struct flow flow;
    uint64_t out;            // datagrams that were sent
    struct flight flights[]; // that of number N at N & mask
};

static struct datagrams *datagrams_of(const struct flow *flow)
{
    return container_of(traffic_of(flow), struct datagrams, traffic);
}

static struct plug *plug_of(struct flow *flow)
{
    return container_of(flow, struct plug, flow);
}

static struct flight *flight_at(struct flow *flow, uint64_t sequence)
{
    return &plug_of(flow)->flights[sequence & datagrams_of(flow)->mask];
}

// Whether the answer to message SEQUENCE is waited for.
static bool in_flight(struct flow *flow, uint64_t sequence)
{
    return sequence < flow->begun && flow->begun - sequence <= datagrams_of(flow)->mask + 1 &&
           flight_at(flow, sequence)->sent != 0;
}

// As many as there are places for: one of long ago may still be waited for.
static void begin(struct flow *flow, uint64_t now)
{
    uint64_t most = flow_allowance(flow, now), count = 0;

    for (; count < most; count++) {
        struct flight *flight = flight_at(flow, flow->begun + count);

        if (flight->sent != 0)
            break;
        *flight = (struct flight){.since = flow_since(flow, count, now), .sent = now};
    }
    flow_begin(flow, count, now);
}

static void land(struct flow *flow, uint64_t sequence, uint64_t now)
{
    flight_at(flow, sequence)->sent = 0;
    flow_land(flow, 1, now);
}

// The message that an answer is for which does not say so.
static uint64_t oldest(struct flow *flow)
{
    uint64_t sequence = flow->answered;

    while (sequence < flow->begun && !in_flight(flow, sequence))
        sequence++;
    return sequence;
}

// That message has got its answer, though not the right one.
static void land_oldest(struct flow *flow)
{
    uint64_t sequence = oldest(flow);

    if (sequence < plug_of(flow)->out)
        land(flow, sequence, clock_now());
}

// A socket that learns, from ICMP, that nobody listens at the other end says so in some later call.
// Soon somebody may.
static void stumble(struct flow *flow, int error)
{
    flow_wait(flow, false); // it can do so, or else is woken for nothing
    land_oldest(flow);
    flow_stumble(flow, dial_failed(error) ? FAULT_CONNECT : FAULT_CLOSED, dial_error(error),
                 clock_now());
}

// The number that went out, or -1 with errno; 0: one by one from now on.
static int send_train(struct flow *flow, unsigned count)
{
    struct datagrams *datagrams = datagrams_of(flow);
    const char *first = datagrams->out_bytes[0].iov_base;

    if (train_send(flow->watch.fd, first, datagrams->out_room, count) == 0)
        return (int)count;
    if (train_refused(errno)) {
        datagrams->trains = false; // the path is the same for all
        flow->flows->results->train_error = errno;
        return 0;
    }
    return -1;
}

// Sends one batch: the number that went out, or -1 with errno.
static int send_batch(struct flow *flow, unsigned count)
{
    struct datagrams *datagrams = datagrams_of(flow);

    if (datagrams->traffic.stamped)
        for (unsigned i = 0; i < count; i++)
            payload_write(datagrams->out_bytes[i].iov_base, datagrams->out_room, flow->number,
                          plug_of(flow)->out + i);
    if (datagrams->trains && count > 1) {
        int sent = send_train(flow, count);

        if (sent != 0)
            return sent;
    }
    return sendmmsg(flow->watch.fd, datagrams->out, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Sends what was begun, as far as it goes. What then is left waits for EPOLLOUT. May end FLOW.
static void send_owed(struct flow *flow)
{
    struct plug *plug = plug_of(flow);

    while (plug->out < flow->begun) {
        unsigned count = (unsigned)uint64_min(flow->begun - plug->out, datagrams_of(flow)->batch);
        int sent = send_batch(flow, count);

        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
            stumble(flow, errno);
            return;
        }
        plug->out += sent > 0 ? (uint64_t)sent : 0;
        if (sent < (int)count)
            break;
    }
    if (flow_wait(flow, plug->out < flow->begun) < 0)
        stumble(flow, errno);
}

static void go(struct flow *flow, uint64_t now)
{
    if (flow->ended || flow->paused)
        return;
    begin(flow, now);
    send_owed(flow);
}

// The message that BYTES answer: as they say themselves or, if they are too short to, the oldest.
static bool find_sequence(struct flow *flow, const char *bytes, size_t length, uint64_t *sequence)
{
    const struct traffic *traffic = traffic_of(flow);
    uint32_t stream;

    if (traffic->stamped && traffic->settings->size > PAYLOAD_STAMP_BYTES)
        return payload_read(bytes, length, &stream, sequence) && stream == flow->number;
    *sequence = oldest(flow);
    return true;
}

static bool is_right(const struct flow *flow, const char *bytes, size_t length, uint64_t sequence)
{
    const struct settings *settings = traffic_of(flow)->settings;

    return length == settings->reply_size &&
           (!settings->verify || payload_matches(bytes, length, flow->number, sequence));
}

static void answered(struct flow *flow, uint64_t sequence, uint64_t now)
{
    flow_record(flow, flight_at(flow, sequence)->since, now, 1);
    land(flow, sequence, now);
    if (sequence >= flow->answered)
        flow->answered = sequence + 1;
}

// No answer to any message, or not the right one.
static void take_other(struct flow *flow, const char *bytes, size_t length)
{
    size_t came = size_min(length, datagrams_of(flow)->in_room);
    bool refusal = payload_refusal(bytes, came) > 0;
    char sample[48];

    results_fault(flow->flows->results, refusal ? FAULT_REFUSED : FAULT_CORRUPT, 1,
                  "socket %u: an answer of %zu bytes is %s", flow->number, length,
                  results_sample(sample, sizeof sample, bytes, came));
    if (refusal)
        land_oldest(flow);
}

static void take(struct flow *flow, const char *bytes, size_t length, uint64_t now)
{
    struct results *results = flow->flows->results;
    size_t came = size_min(length, datagrams_of(flow)->in_room);
    uint64_t sequence;

    if (!find_sequence(flow, bytes, came, &sequence) || !is_right(flow, bytes, length, sequence)) {
        take_other(flow, bytes, length);
        return;
    }
    if (!in_flight(flow, sequence)) {
        results_fault(results, FAULT_UNEXPECTED, 1,
                      "socket %u: an answer to message %llu, late or for the second time",
                      flow->number, (unsigned long long)sequence);
        return;
    }
    if (sequence < flow->answered)
        results_fault(results, FAULT_REORDERED, 1,
                      "socket %u: the answer to message %llu comes after a later one's",
                      flow->number, (unsigned long long)sequence);
    answered(flow, sequence, now);
}

// What came as a train is taken apart; any other message is one datagram, of 0 bytes too.
static void take_all(struct flow *flow, const struct mmsghdr *message, uint64_t now)
{
    const char *bytes = message->msg_hdr.msg_iov->iov_base;
    size_t left = message->msg_len, step = train_step(&message->msg_hdr, left);

    do {
        size_t length = size_min(step, left);

        take(flow, bytes, length, now);
        bytes += length;
        left -= length;
    } while (left > 0);
}

static void receive_batch(struct flow *flow)
{
    struct datagrams *datagrams = datagrams_of(flow);

    // The kernel has written there how much it has used.
    for (size_t i = 0; i < BATCH_MAX && datagrams->traffic.settings->gso; i++)
        datagrams->in[i].msg_hdr.msg_controllen = sizeof datagrams->in_control[i];
    int came = recvmmsg(flow->watch.fd, datagrams->in, BATCH_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL);
    uint64_t now = clock_now();

    if (came < 0 && errno != EAGAIN && errno != EINTR)
        stumble(flow, errno);
    for (int i = 0; i < came; i++)
        take_all(flow, &datagrams->in[i], now);
    go(flow, now);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct flow *flow = container_of(watch, struct flow, watch);

    if (events == EPOLLOUT)
        go(flow, clock_now());
    else
        receive_batch(flow);
}

static bool open_flow(struct flow *flow)
{
    flow->watch = (struct watch){.ready = ready, .fd = dial(traffic_of(flow)->target, SOCK_DGRAM)};
    return flow->watch.fd >= 0 &&
           (!traffic_of(flow)->settings->gso || train_accept(flow->watch.fd) == 0) &&
           loop_add(flow->flows->loop, &flow->watch, EPOLLIN) == 0;
}

static void give_up(struct flow *flow, uint64_t before)
{
    uint64_t most = datagrams_of(flow)->mask + 1;
    uint64_t first = flow->begun > most ? flow->begun - most : 0;

    for (uint64_t i = first; i < flow->begun && flow->in_flight > 0; i++) {
        if (flight_at(flow, i)->sent == 0 || flight_at(flow, i)->sent >= before)
            continue;
        land(flow, i, clock_now());
        results_fault(flow->flows->results, FAULT_LOST, 1,
                      "no answer to message %llu of connection %u", (unsigned long long)i,
                      flow->number);
    }
}

static void lay_out(struct datagrams *datagrams)
{
    const struct settings *settings = datagrams->traffic.settings;

    for (size_t i = 0; i < BATCH_MAX; i++) {
        char *in = datagrams->bytes + i * datagrams->in_room;
        char *out = datagrams->bytes + BATCH_MAX * datagrams->in_room + i * datagrams->out_room;

        if (settings->has_request)
            memcpy(out, settings->request, settings->size);
        else
            payload_write(out, settings->size, 0, 0);
        datagrams->in_bytes[i] = (struct iovec){in, datagrams->in_room};
        datagrams->out_bytes[i] = (struct iovec){out, datagrams->out_room};
        datagrams->in[i].msg_hdr =
            (struct msghdr){.msg_iov = &datagrams->in_bytes[i],
                            .msg_iovlen = 1,
                            .msg_control = settings->gso ? &datagrams->in_control[i] : NULL};
        datagrams->out[i].msg_hdr =
            (struct msghdr){.msg_iov = &datagrams->out_bytes[i], .msg_iovlen = 1};
    }
}

struct traffic *datagrams_create(const struct settings *settings)
{
    // One more, to tell what is too long; and what a server may say in place of a short one.
    size_t in_room = settings->gso                        ? TRAIN_ROOM_BYTES
                     : settings->reply_size < REFUSAL_MAX ? REFUSAL_MAX
                                                          : settings->reply_size + 1;
    size_t room = BATCH_MAX * (in_room + settings->size);
    struct traffic *traffic = traffic_create(settings, sizeof(struct datagrams) + room);

    if (!traffic)
        return NULL;
    struct datagrams *datagrams = container_of(traffic, struct datagrams, traffic);
    traffic->open = open_flow;
    traffic->go = go;
    traffic->give_up = give_up;
    // So many that one that is lost does not hold up the others.
    datagrams->mask = traffic_places(settings->depth * UINT64_C(4)) - 1;
    traffic->flow_bytes =
        sizeof(struct plug) + (size_t)(datagrams->mask + 1) * sizeof(struct flight);
    datagrams->in_room = in_room;
    datagrams->out_room = settings->size;
    datagrams->trains = settings->gso;
    datagrams->batch = settings->gso ? train_most(settings->size) : BATCH_MAX;
    lay_out(datagrams);
    return traffic;
}
