// SPDX-License-Identifier: MIT
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "payload.h"

enum { INPUT_BYTES = 1 << 16 };

// All lines share the bytes of one turn.
struct lines {
    struct traffic traffic;
    size_t output_length;
    char input[INPUT_BYTES];
    char output[]; // whole requests, over and over, unless stamped
};

static struct lines *lines_of(const struct line *line)
{
    return container_of(traffic_of(&line->flow), struct lines, traffic);
}

// Finds bytes that are to be sent next: at most OWED, some whole messages if they are stamped.
static size_t find_output(const struct line *line, uint64_t owed, const char **bytes)
{
    struct lines *lines = lines_of(line);
    size_t size = lines->traffic.settings->size;
    size_t within = (size_t)(line->out % size);
    size_t length = (size_t)uint64_min(owed, lines->output_length - within);

    *bytes = lines->output + within;
    if (lines->traffic.stamped)
        for (size_t at = 0; at < within + length; at += size)
            payload_write(lines->output + at, size, line->flow.number, (line->out + at) / size);
    return length;
}

void lines_send(struct line *line)
{
    uint64_t owed = line_owed(line);

    while (owed > 0) {
        const char *bytes;
        size_t length = find_output(line, owed, &bytes);
        ssize_t sent = send(line->flow.watch.fd, bytes, length, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            line_fail(line, errno);
            return;
        }
        line->out += sent > 0 ? (uint64_t)sent : 0;
        owed -= sent > 0 ? (uint64_t)sent : 0;
        if (sent < (ssize_t)length)
            break;
    }
    if (flow_wait(&line->flow, owed > 0) < 0)
        line_fail(line, errno);
}

// One recv a turn is enough, for a level-triggered watch comes again.
uint64_t lines_read(struct line *line)
{
    struct lines *lines = lines_of(line);
    ssize_t got = recv(line->flow.watch.fd, lines->input, INPUT_BYTES, 0);

    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            line_fail(line, got == 0 ? 0 : errno);
        return 0;
    }
    uint64_t now = clock_now();
    line_take(line, lines->input, (size_t)got, now);
    return now;
}

static void go(struct flow *flow, uint64_t now)
{
    struct line *line = container_of(flow, struct line, flow);

    if (flow->watch.fd < 0)
        return;
    line_begin(line, now);
    lines_send(line);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct line *line = container_of(watch, struct line, flow.watch);
    uint64_t now = events == EPOLLOUT ? 0 : lines_read(line);

    go(&line->flow, now ? now : clock_now());
}

static bool open_line(struct flow *flow)
{
    line_init(container_of(flow, struct line, flow));
    flow->watch = (struct watch){.ready = ready, .fd = dial(traffic_of(flow)->target, SOCK_STREAM)};
    return flow->watch.fd >= 0 && loop_add(flow->flows->loop, &flow->watch, EPOLLIN) == 0;
}

static void give_up(struct flow *flow, uint64_t before)
{
    (void)before;
    line_give_up(container_of(flow, struct line, flow));
}

// Every byte that is sent comes from here: whole requests, one after the other.
static void fill_output(struct lines *lines)
{
    const struct settings *settings = lines->traffic.settings;

    for (size_t at = 0; at < lines->output_length; at += settings->size)
        if (settings->has_request)
            memcpy(lines->output + at, settings->request, settings->size);
        else
            payload_write(lines->output + at, settings->size, 0, 0);
}

struct traffic *lines_create(const struct settings *settings)
{
    size_t count = settings->size < INPUT_BYTES ? INPUT_BYTES / settings->size : 1;
    size_t length = count * settings->size;
    struct traffic *traffic = traffic_create(settings, sizeof(struct lines) + length);

    if (!traffic)
        return NULL;
    struct lines *lines = container_of(traffic, struct lines, traffic);
    traffic->open = open_line;
    traffic->go = go;
    traffic->give_up = give_up;
    traffic->flow_bytes = line_bytes(traffic);
    lines->output_length = length;
    fill_output(lines);
    return traffic;
}
