// SPDX-License-Identifier: MIT
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "ground/util.h"
#include "payload.h"

enum { SAMPLE_BYTES = 40 };

size_t lines_reply_room(const struct settings *settings)
{
    return settings->verify ? settings->reply_size : size_min(settings->reply_size, SAMPLE_BYTES);
}

// Finds bytes that are to be sent next: at most OWED, some whole messages if they are stamped.
static size_t find_output(const struct flow *flow, uint64_t owed, const char **bytes)
{
    struct bench *bench = flow->bench;
    size_t size = bench->settings->size;
    size_t within = (size_t)(flow->out % size);
    size_t length = (size_t)size_min(owed, bench->output_length - within);

    *bytes = bench->output + within;
    if (bench_stamped(bench))
        for (size_t at = 0; at < within + length; at += size)
            payload_write(bench->output + at, size, flow->number, (flow->out + at) / size);
    return length;
}

static void fail(struct flow *flow, int error)
{
    flow_fail(flow, error == ECONNREFUSED || error == ETIMEDOUT ? FAULT_CONNECT : FAULT_CLOSED,
              error == 0 ? "closed by the server" : strerror(error));
}

// Sends what is owed, as far as it goes. What then is left waits for EPOLLOUT. May end FLOW.
static void send_owed(struct flow *flow)
{
    const struct bench *bench = flow->bench;
    uint64_t owed = flow->begun * bench->settings->size - flow->out;

    while (owed > 0) {
        const char *bytes;
        size_t length = find_output(flow, owed, &bytes);
        ssize_t sent = send(flow->watch.fd, bytes, length, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            fail(flow, errno);
            return;
        }
        flow->out += sent > 0 ? (uint64_t)sent : 0;
        owed -= sent > 0 ? (uint64_t)sent : 0;
        if (sent < (ssize_t)length)
            break;
    }
    if (flow_wait(flow, owed > 0) < 0)
        fail(flow, errno);
}

static void lines_go(struct flow *flow, uint64_t now)
{
    flow_begin(flow, now);
    if (!flow->ended)
        send_owed(flow);
}

// The reply to message SEQUENCE is not as it should be.
static void judge(struct flow *flow, const char *reply, uint64_t sequence)
{
    struct bench *bench = flow->bench;
    size_t size = bench->settings->reply_size;
    uint32_t stream = 0;
    uint64_t other = 0;
    char sample[48];
    bool moved = bench->settings->verify && payload_read(reply, size, &stream, &other) &&
                 payload_matches(reply, size, stream, other);

    results_fault(&bench->results, moved ? FAULT_REORDERED : FAULT_CORRUPT, 1,
                  "the answer to message %llu of connection %u is %s", (unsigned long long)sequence,
                  flow->number,
                  moved ? "another message's"
                        : results_sample(sample, sizeof sample, reply,
                                         size_min(size, lines_reply_room(bench->settings))));
}

// Whole replies, COUNT of them, of which more may have come than was asked for. SIZE bytes after
// the first begins the second.
static void take_replies(struct flow *flow, const char *replies, size_t count, size_t size,
                         uint64_t now)
{
    const struct settings *settings = flow->bench->settings;
    size_t asked = size_min(count, flow->in_flight);

    for (size_t i = 0; settings->verify && i < asked; i++)
        if (!payload_matches(replies + i * size, size, flow->number, flow->answered + i))
            judge(flow, replies + i * size, flow->answered + i);
    const char *last = replies + size - 1;
    for (size_t i = 0; !settings->verify && !settings->has_request && i < asked; i++, last += size)
        if (*last != '\n')
            judge(flow, last + 1 - size, flow->answered + i);
    flow_answered_next(flow, (unsigned)asked, now);
    if (count > asked)
        results_fault(&flow->bench->results, FAULT_UNEXPECTED, count - asked,
                      "connection %u: an answer to nothing", flow->number);
}

// Adds LENGTH bytes to the reply that is under way, of which flow->in have come.
static void keep(struct flow *flow, const char *bytes, size_t length)
{
    size_t room = lines_reply_room(flow->bench->settings);

    if (flow->in < room)
        memcpy(flow->reply + flow->in, bytes, size_min(length, room - flow->in));
    flow->in += length;
}

// The rest of the reply that is under way is at BYTES, LENGTH bytes. What is kept of it may be only
// its beginning; with its last byte it is a reply all the same.
static void take_rest(struct flow *flow, const char *bytes, size_t length, uint64_t now)
{
    size_t kept = size_min(flow->in + length, lines_reply_room(flow->bench->settings));

    keep(flow, bytes, length);
    flow->in = 0;
    flow->reply[kept - 1] = bytes[length - 1];
    take_replies(flow, flow->reply, 1, kept, now);
}

static void take(struct flow *flow, const char *bytes, size_t length, uint64_t now)
{
    size_t size = flow->bench->settings->reply_size;

    if (flow->in > 0) {
        size_t rest = size - flow->in;

        if (length < rest) {
            keep(flow, bytes, length);
            return;
        }
        take_rest(flow, bytes, rest, now);
        bytes += rest;
        length -= rest;
    }
    if (length >= size)
        take_replies(flow, bytes, length / size, size, now);
    if (length % size > 0)
        keep(flow, bytes + length - length % size, length % size);
}

// Reads what has come: one recv a turn is enough, for a level-triggered watch comes again.
// Returns the time if something came. May end FLOW.
static uint64_t read_turn(struct flow *flow)
{
    struct bench *bench = flow->bench;
    ssize_t got = recv(flow->watch.fd, bench->input, BENCH_INPUT_BYTES, 0);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            fail(flow, got == 0 ? 0 : errno);
        return 0;
    }
    uint64_t now = clock_now();
    take(flow, bench->input, (size_t)got, now);
    return now;
}

static void lines_ready(struct watch *watch, uint32_t events)
{
    struct flow *flow = container_of(watch, struct flow, watch);
    uint64_t now = 0;

    if (events != EPOLLOUT)
        now = read_turn(flow);
    if (!flow->ended)
        lines_go(flow, now ? now : clock_now());
}

static bool lines_open(struct flow *flow)
{
    struct bench *bench = flow->bench;

    flow->watch = (struct watch){.ready = lines_ready, .fd = dial(&bench->target, SOCK_STREAM)};
    return flow->watch.fd >= 0 && loop_add(&bench->loop, &flow->watch, EPOLLIN) == 0;
}

const struct traffic lines_traffic = {.open = lines_open, .go = lines_go};

static void churn_ready(struct watch *watch, uint32_t events);

// Begins a connection and, where the handshake is through already, sends its message.
static void churn_connect(struct flow *flow)
{
    struct bench *bench = flow->bench;
    int fd = dial_begin(&bench->target);

    flow->watch = (struct watch){.ready = churn_ready, .fd = fd};
    if (fd < 0 || loop_add(&bench->loop, &flow->watch, EPOLLIN) < 0)
        flow_fail(flow, FAULT_CONNECT, strerror(errno));
    else
        send_owed(flow);
}

// The next connection begins when the one before is closed.
static void churn_go(struct flow *flow, uint64_t now)
{
    if (flow->in_flight == 0 && flow_begin(flow, now) > 0)
        churn_connect(flow);
}

static void churn_ready(struct watch *watch, uint32_t events)
{
    struct flow *flow = container_of(watch, struct flow, watch);
    struct loop *loop = &flow->bench->loop;

    if (events != EPOLLOUT)
        read_turn(flow);
    if (flow->ended)
        return;
    if (flow->in_flight > 0) {
        send_owed(flow);
        return;
    }
    loop_remove(loop, watch);
    close(watch->fd);
    watch->fd = -1;
    churn_go(flow, clock_now());
}

// Nothing to be opened before the first message.
static bool churn_open(struct flow *flow)
{
    (void)flow;
    return true;
}

const struct traffic churn_traffic = {.open = churn_open, .go = churn_go};
