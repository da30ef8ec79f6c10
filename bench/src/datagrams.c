// SPDX-License-Identifier: MIT
#include "datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench.h"
#include "clock.h"
#include "ground/util.h"
#include "payload.h"

enum { BATCH_MAX = 64 };

struct datagrams {
    struct mmsghdr in[BATCH_MAX], out[BATCH_MAX];
    struct iovec in_bytes[BATCH_MAX], out_bytes[BATCH_MAX];
    size_t in_room, out_room; // bytes of one datagram
    char bytes[];
};

struct datagrams *datagrams_create(const struct bench *bench)
{
    const struct settings *settings = bench->settings;
    size_t in_room = settings->reply_size + 1; // one more, to tell what is too long
    size_t out_room = settings->size;
    struct datagrams *datagrams = calloc(1, sizeof *datagrams + BATCH_MAX * (in_room + out_room));

    if (!datagrams)
        return NULL;
    datagrams->in_room = in_room;
    datagrams->out_room = out_room;
    for (size_t i = 0; i < BATCH_MAX; i++) {
        char *out = datagrams->bytes + BATCH_MAX * in_room + i * out_room;

        memcpy(out, bench->output, out_room);
        datagrams->in_bytes[i] = (struct iovec){datagrams->bytes + i * in_room, in_room};
        datagrams->out_bytes[i] = (struct iovec){out, out_room};
        datagrams->in[i].msg_hdr =
            (struct msghdr){.msg_iov = &datagrams->in_bytes[i], .msg_iovlen = 1};
        datagrams->out[i].msg_hdr =
            (struct msghdr){.msg_iov = &datagrams->out_bytes[i], .msg_iovlen = 1};
    }
    return datagrams;
}

void datagrams_destroy(struct datagrams *datagrams)
{
    free(datagrams);
}

// A socket that learns that nobody listens at the other end says so in some later call.
static void fail(struct flow *flow, int error)
{
    flow_fail(flow, error == ECONNREFUSED ? FAULT_CONNECT : FAULT_CLOSED, strerror(error));
}

// Sends one batch: the number that went out, or -1 with errno.
static int send_batch(struct flow *flow, unsigned count)
{
    struct bench *bench = flow->bench;
    struct datagrams *datagrams = bench->datagrams;

    if (bench_stamped(bench))
        for (unsigned i = 0; i < count; i++)
            payload_write(datagrams->out_bytes[i].iov_base, datagrams->out_room, flow->number,
                          flow->out + i);
    return sendmmsg(flow->watch.fd, datagrams->out, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void datagrams_go(struct flow *flow, uint64_t now)
{
    flow_begin(flow, now);
    while (!flow->ended && flow->out < flow->begun) {
        unsigned count = (unsigned)size_min(flow->begun - flow->out, BATCH_MAX);
        int sent = send_batch(flow, count);

        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
            fail(flow, errno);
            return;
        }
        flow->out += sent > 0 ? (uint64_t)sent : 0;
        if (sent < (int)count)
            break;
    }
    if (!flow->ended && flow_wait(flow, flow->out < flow->begun) < 0)
        fail(flow, errno);
}

// The message that BYTES answer: as they say themselves or, if they are too short to, the oldest.
static bool find_sequence(const struct flow *flow, const char *bytes, size_t length,
                          uint64_t *sequence)
{
    uint32_t stream;

    if (bench_stamped(flow->bench) && flow->bench->settings->size > PAYLOAD_STAMP_BYTES)
        return payload_read(bytes, length, &stream, sequence) && stream == flow->number;
    *sequence = flow->answered;
    while (*sequence < flow->begun && !flow_in_flight(flow, *sequence))
        ++*sequence;
    return true;
}

static bool is_right(const struct flow *flow, const char *bytes, size_t length, uint64_t sequence)
{
    const struct settings *settings = flow->bench->settings;

    return length == settings->reply_size &&
           (!settings->verify || payload_matches(bytes, length, flow->number, sequence));
}

static void take(struct flow *flow, const char *bytes, size_t length, uint64_t now)
{
    struct results *results = &flow->bench->results;
    size_t came = size_min(length, flow->bench->datagrams->in_room);
    uint64_t sequence;
    char sample[48];

    if (!find_sequence(flow, bytes, came, &sequence) || !is_right(flow, bytes, length, sequence)) {
        results_fault(results, FAULT_CORRUPT, 1, "socket %u: an answer of %zu bytes is %s",
                      flow->number, length, results_sample(sample, sizeof sample, bytes, came));
        return;
    }
    if (!flow_in_flight(flow, sequence)) {
        results_fault(results, FAULT_UNEXPECTED, 1,
                      "socket %u: an answer to message %llu, late or for the second time",
                      flow->number, (unsigned long long)sequence);
        return;
    }
    if (sequence < flow->answered)
        results_fault(results, FAULT_REORDERED, 1,
                      "socket %u: the answer to message %llu comes after a later one's",
                      flow->number, (unsigned long long)sequence);
    flow_answered(flow, sequence, now);
}

static void receive_batch(struct flow *flow)
{
    struct datagrams *datagrams = flow->bench->datagrams;
    int came = recvmmsg(flow->watch.fd, datagrams->in, BATCH_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL);
    uint64_t now = clock_now();

    if (came < 0 && errno != EAGAIN && errno != EINTR)
        fail(flow, errno);
    for (int i = 0; i < came; i++)
        take(flow, datagrams->in_bytes[i].iov_base, datagrams->in[i].msg_len, now);
    if (!flow->ended)
        datagrams_go(flow, now);
}

static void datagrams_ready(struct watch *watch, uint32_t events)
{
    struct flow *flow = container_of(watch, struct flow, watch);

    if (events == EPOLLOUT)
        datagrams_go(flow, clock_now());
    else
        receive_batch(flow);
}

static bool datagrams_open(struct flow *flow)
{
    struct bench *bench = flow->bench;

    flow->watch = (struct watch){.ready = datagrams_ready, .fd = dial(&bench->target, SOCK_DGRAM)};
    return flow->watch.fd >= 0 && loop_add(&bench->loop, &flow->watch, EPOLLIN) == 0;
}

const struct traffic datagrams_traffic = {.open = datagrams_open, .go = datagrams_go};
