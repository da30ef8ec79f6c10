// SPDX-License-Identifier: MIT
#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "payload.h"

enum { SAMPLE_BYTES = 40 };

static const struct settings *settings_of(const struct line *line)
{
    return traffic_of(&line->flow)->settings;
}

// How many bytes of an unfinished reply are kept.
static size_t reply_room(const struct settings *settings)
{
    return settings->verify ? settings->reply_size : size_min(settings->reply_size, SAMPLE_BYTES);
}

static uint64_t places(const struct traffic *traffic)
{
    uint64_t places = 1;

    while (places < traffic->flows.depth)
        places *= 2;
    return places;
}

size_t line_bytes(const struct traffic *traffic)
{
    return sizeof(struct line) + (size_t)places(traffic) * sizeof(struct together) +
           reply_room(traffic->settings);
}

void line_init(struct line *line)
{
    line->mask = places(traffic_of(&line->flow)) - 1;
    line->reply = (char *)&line->messages[line->mask + 1];
}

uint64_t line_begin(struct line *line, uint64_t now)
{
    struct flow *flow = &line->flow;
    uint64_t count = flow_allowance(flow, now);
    uint64_t each = flow->flows->pace.period > 0 ? 1 : count;

    for (uint64_t i = 0; i < count; i += each)
        line->messages[line->end++ & line->mask] =
            (struct together){.since = flow_since(flow, i, now), .count = each};
    flow_begin(flow, count);
    return count;
}

uint64_t line_owed(const struct line *line)
{
    return line->flow.begun * settings_of(line)->size - line->out;
}

// The next COUNT messages in flight were answered.
static void answered(struct line *line, unsigned count, uint64_t now)
{
    flow_land(&line->flow, count);
    line->flow.answered += count;
    while (count > 0) {
        struct together *together = &line->messages[line->first & line->mask];
        unsigned alike = (unsigned)size_min(count, together->count);

        flow_record(&line->flow, together->since, now, alike);
        together->count -= alike;
        line->first += together->count == 0;
        count -= alike;
    }
}

// The reply to message SEQUENCE is not as it should be.
static void judge(struct line *line, const char *reply, uint64_t sequence)
{
    const struct settings *settings = settings_of(line);
    size_t size = settings->reply_size;
    uint32_t stream = 0;
    uint64_t other = 0;
    char sample[48];
    bool moved = settings->verify && payload_read(reply, size, &stream, &other) &&
                 payload_matches(reply, size, stream, other);

    results_fault(line->flow.flows->results, moved ? FAULT_REORDERED : FAULT_CORRUPT, 1,
                  "the answer to message %llu of connection %u is %s", (unsigned long long)sequence,
                  line->flow.number,
                  moved ? "another message's"
                        : results_sample(sample, sizeof sample, reply, reply_room(settings)));
}

// Whole replies, COUNT of them, of which more may have come than was asked for. SIZE bytes after
// the first begins the second.
static void take_replies(struct line *line, const char *replies, size_t count, size_t size,
                         uint64_t now)
{
    const struct settings *settings = settings_of(line);
    const struct flow *flow = &line->flow;
    size_t asked = size_min(count, flow->in_flight);

    for (size_t i = 0; settings->verify && i < asked; i++)
        if (!payload_matches(replies + i * size, size, flow->number, flow->answered + i))
            judge(line, replies + i * size, flow->answered + i);
    const char *last = replies + size - 1;
    for (size_t i = 0; !settings->verify && !settings->has_request && i < asked; i++, last += size)
        if (*last != '\n')
            judge(line, last + 1 - size, flow->answered + i);
    answered(line, (unsigned)asked, now);
    if (count > asked)
        results_fault(flow->flows->results, FAULT_UNEXPECTED, count - asked,
                      "connection %u: an answer to nothing", flow->number);
}

// Adds LENGTH bytes to the reply that is under way, of which line->in have come.
static void keep(struct line *line, const char *bytes, size_t length)
{
    size_t room = reply_room(settings_of(line));

    if (line->in < room)
        memcpy(line->reply + line->in, bytes, size_min(length, room - line->in));
    line->in += length;
}

// The rest of the reply that is under way is at BYTES, LENGTH bytes. What is kept of it may be only
// its beginning; with its last byte it is a reply all the same.
static void take_rest(struct line *line, const char *bytes, size_t length, uint64_t now)
{
    size_t kept = size_min(line->in + length, reply_room(settings_of(line)));

    keep(line, bytes, length);
    line->in = 0;
    line->reply[kept - 1] = bytes[length - 1];
    take_replies(line, line->reply, 1, kept, now);
}

void line_take(struct line *line, const char *bytes, size_t length, uint64_t now)
{
    size_t size = settings_of(line)->reply_size;

    if (line->in > 0) {
        size_t rest = size - line->in;

        if (length < rest) {
            keep(line, bytes, length);
            return;
        }
        take_rest(line, bytes, rest, now);
        bytes += rest;
        length -= rest;
    }
    if (length >= size)
        take_replies(line, bytes, length / size, size, now);
    if (length % size > 0)
        keep(line, bytes + length - length % size, length % size);
}

void line_give_up(struct line *line)
{
    struct flow *flow = &line->flow;

    if (flow->in_flight > 0)
        results_fault(flow->flows->results, FAULT_LOST, flow->in_flight,
                      "no answer to message %llu of connection %u",
                      (unsigned long long)flow->answered, flow->number);
    flow_land(flow, flow->in_flight);
}

// Some bytes of an answer often tell the cause: "Server Busy".
void line_fail(struct line *line, int error)
{
    char sample[48], cause[FAULT_TEXT_MAX];
    size_t kept = size_min(line->in, reply_room(settings_of(line)));

    snprintf(cause, sizeof cause, "%s%s%s", error == 0 ? "closed by the server" : strerror(error),
             kept > 0 ? ", after the bytes: " : "",
             results_sample(sample, sizeof sample, line->reply, kept));
    flow_fail(&line->flow,
              error == ECONNREFUSED || error == ETIMEDOUT ? FAULT_CONNECT : FAULT_CLOSED, cause);
}
