// SPDX-License-Identifier: MIT
#include "probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/util.h"
#include "system/loop.h"
#include "system/net.h"

enum { ANSWER_MAX_BYTES = 256, SHOWN_MAX_BYTES = 64, UNDER_WAY = -1 };

// A message, and what comes of it.
struct attempt {
    struct loop loop;
    struct watch watch;
    const struct probe *probe;
    char message[sizeof "probe 0123456789abcdef\n"];
    bool sent;
    char answer[ANSWER_MAX_BYTES]; // as far as it has come
    size_t length;
    int status; // UNDER_WAY, or what to exit with
    struct text *problem;
};

static bool answer_is(const struct attempt *attempt, const char *text)
{
    return attempt->length == strlen(text) && memcmp(attempt->answer, text, attempt->length) == 0;
}

// What has come, its first line: whoever sent it may have meant it for a terminal.
static void show_answer(const struct attempt *attempt)
{
    size_t length = size_min(attempt->length, SHOWN_MAX_BYTES);

    text_string(attempt->problem, ": '");
    for (size_t i = 0; i < length && attempt->answer[i] != '\n'; i++) {
        bool printable = attempt->answer[i] >= ' ' && attempt->answer[i] <= '~';
        text_bytes(attempt->problem, printable ? &attempt->answer[i] : "?", 1);
    }
    text_string(attempt->problem, "'");
}

static void fail(struct attempt *attempt, const char *why)
{
    attempt->status = EXIT_FAILURE;
    text_string(attempt->problem, why);
    if (attempt->length > 0)
        show_answer(attempt);
}

// Nothing more is waited for. WHY says what is wrong if what has come is not what it should be.
static void conclude(struct attempt *attempt, const char *why)
{
    if (attempt->status != UNDER_WAY)
        return; // concluded earlier in this batch
    if (answer_is(attempt, attempt->message)) {
        attempt->status = EXIT_SUCCESS;
    } else if (answer_is(attempt, "Server Busy\n")) {
        attempt->status = PROBE_BUSY;
        text_string(attempt->problem, "the server is busy");
    } else {
        fail(attempt, why);
    }
}

static void expired(struct loop *loop)
{
    struct attempt *attempt = container_of(loop, struct attempt, loop);

    conclude(attempt, attempt->sent ? "no echo within a second" : "no connection within a second");
}

// Where nobody listens on a port that the kernel may choose for this end, it can connect the socket
// to itself, and all that is sent would come back.
static bool connected_to_itself(int fd)
{
    struct address here = net_local(fd), there = net_peer(fd);

    return here.port != 0 && here.port == there.port &&
           memcmp(&here.ip, &there.ip, sizeof here.ip) == 0;
}

static void ask(struct attempt *attempt)
{
    int fd = attempt->watch.fd;

    attempt->sent = true;
    if (connected_to_itself(fd))
        conclude(attempt, strerror(ECONNREFUSED));
    else if (send(fd, attempt->message, strlen(attempt->message), MSG_NOSIGNAL) < 0 ||
             loop_change(&attempt->loop, &attempt->watch, EPOLLIN) < 0)
        conclude(attempt, strerror(errno));
}

// The first time, the socket can be written to. It is read all the same: that tells why a
// connection was not made, and a server may have spoken, and ended, already.
static void ready(struct watch *watch, uint32_t events)
{
    struct attempt *attempt = container_of(watch, struct attempt, watch);
    char *end = attempt->answer + attempt->length;
    ssize_t count = recv(watch->fd, end, ANSWER_MAX_BYTES - attempt->length, 0);

    (void)events;
    if (count < 0 && errno != EAGAIN) {
        conclude(attempt, strerror(errno));
    } else if (count < 0) {
        if (!attempt->sent)
            ask(attempt);
    } else {
        attempt->length += (size_t)count;
        if (count == 0 && !attempt->probe->udp)
            conclude(attempt, "closed without an echo");
        else if (attempt->probe->udp || attempt->length == ANSWER_MAX_BYTES ||
                 memchr(end, '\n', (size_t)count))
            conclude(attempt, "answered by something else than an echo");
    }
}

static int begin(struct attempt *attempt)
{
    const struct probe *probe = attempt->probe;
    struct address address = probe->address;
    uint64_t nonce;

    if (getrandom(&nonce, sizeof nonce, GRND_NONBLOCK) < 0)
        return -1;
    snprintf(attempt->message, sizeof attempt->message, "probe %016" PRIx64 "\n", nonce);
    if (*probe->interface && (address.scope = net_interface(probe->interface)) == 0)
        return -1;
    if (loop_init(&attempt->loop, expired) < 0)
        return -1;
    attempt->watch.fd = net_connect(probe->udp ? SOCK_DGRAM : SOCK_STREAM, &address);
    if (attempt->watch.fd < 0 || loop_add(&attempt->loop, &attempt->watch, EPOLLOUT) < 0)
        return -1;
    return loop_arm(&attempt->loop, loop_now(&attempt->loop) + TICKS_PER_SECOND);
}

int probe_run(const struct probe *probe, struct text *problem)
{
    struct attempt attempt = {.loop = {.epoll = -1, .timer.fd = -1},
                              .watch = {.ready = ready, .fd = -1},
                              .probe = probe,
                              .status = UNDER_WAY,
                              .problem = problem};

    if (begin(&attempt) < 0)
        fail(&attempt, strerror(errno));
    while (attempt.status == UNDER_WAY)
        if (loop_turn(&attempt.loop, true) < 0)
            fail(&attempt, strerror(errno));
    if (attempt.watch.fd >= 0)
        close(attempt.watch.fd);
    loop_finish(&attempt.loop);
    return attempt.status;
}
