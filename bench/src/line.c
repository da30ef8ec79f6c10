// SPDX-License-Identifier: MIT
#include "line.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "payload.h"

enum { SAMPLE_BYTES = 40, SAMPLE_ROOM = SAMPLE_BYTES + 1 };

static const struct settings *settings_of(const struct line *line)
{
    return traffic_of(&line->flow)->settings;
}

// How many bytes of an unfinished reply are kept.
static size_t reply_room(const struct settings *settings)
{
    return settings->verify ? settings->reply_size : size_min(settings->reply_size, SAMPLE_BYTES);
}

size_t line_bytes(const struct traffic *traffic)
{
    return sizeof(struct line) +
           (size_t)traffic_places(traffic->flows.depth) * sizeof(struct together) +
           reply_room(traffic->settings);
}

void line_init(struct line *line)
{
    line->mask = traffic_places(line->flow.flows->depth) - 1;
    line->reply = (char *)&line->messages[line->mask + 1];
    line->fresh = true;
}

void line_renew(struct line *line)
{
    flow_land(&line->flow, line->flow.in_flight, clock_now());
    line->flow.answered = line->flow.begun;
    line->out = line->flow.begun * settings_of(line)->size;
    line->first = line->end;
    line->in = 0;
    line->fresh = true;
}

uint64_t line_begin(struct line *line, uint64_t now)
{
    struct flow *flow = &line->flow;
    uint64_t count = flow_allowance(flow, now);
    uint64_t each = flow->flows->pace.period > 0 ? 1 : count;

    for (uint64_t i = 0; i < count; i += each)
        line->messages[line->end++ & line->mask] =
            (struct together){.since = flow_since(flow, i, now), .count = each};
    flow_begin(flow, count, now);
    return count;
}

uint64_t line_owed(const struct line *line)
{
    return line->flow.begun * settings_of(line)->size - line->out;
}

// The next COUNT messages in flight were answered.
static void answered(struct line *line, unsigned count, uint64_t now)
{
    flow_land(&line->flow, count, now);
    line->flow.answered += count;
    while (count > 0) {
        struct together *together = &line->messages[line->first & line->mask];
        unsigned alike = (unsigned)uint64_min(count, together->count);

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
    char sample[SAMPLE_ROOM];
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

// What is kept of the reply that is under way.
static const char *sample_of(const struct line *line, char room[SAMPLE_ROOM])
{
    size_t kept = size_min(line->in, reply_room(settings_of(line)));

    return results_sample(room, SAMPLE_ROOM, line->reply, kept);
}

static void end(struct line *line, enum fault fault, const char *cause)
{
    struct flow *flow = &line->flow;

    if (!settings_of(line)->churn) {
        flow_fail(flow, fault, cause);
        return;
    }
    flow_close(flow);
    line_renew(line);
    flow_stumble(flow, fault, cause, clock_now());
}

// Whether the server says something of its own: the first that it has to say, or what ends sooner
// than a message would. Then LINE has come to its end.
static bool take_refusal(struct line *line, const char *bytes, size_t length)
{
    char sample[SAMPLE_ROOM], cause[FAULT_TEXT_MAX];
    size_t text =
        settings_of(line)->has_request ? 0 : payload_refusal(bytes, size_min(length, SAMPLE_BYTES));

    if (text == 0)
        return false;
    snprintf(cause, sizeof cause, "the server says: %s",
             results_sample(sample, sizeof sample, bytes, text));
    end(line, FAULT_REFUSED, cause);
    return true;
}

void line_take(struct line *line, const char *bytes, size_t length, uint64_t now)
{
    size_t size = settings_of(line)->reply_size;

    if (line->fresh && take_refusal(line, bytes, length))
        return;
    line->fresh = false;
    if (line->in > 0 && line->in + length >= size) {
        size_t rest = size - line->in;

        take_rest(line, bytes, rest, now);
        bytes += rest;
        length -= rest;
    }
    if (line->in == 0 && length >= size) {
        take_replies(line, bytes, length / size, size, now);
        bytes += length - length % size;
        length %= size;
    }
    if (length == 0)
        return;
    keep(line, bytes, length);
    take_refusal(line, line->reply, size_min(line->in, reply_room(settings_of(line))));
}

void line_give_up(struct line *line)
{
    struct flow *flow = &line->flow;
    char sample[SAMPLE_ROOM];

    if (flow->in_flight > 0)
        results_fault(flow->flows->results, FAULT_LOST, flow->in_flight,
                      "no %sanswer to message %llu of connection %u%s%s",
                      line->in > 0 ? "whole " : "", (unsigned long long)flow->answered,
                      flow->number, line->in > 0 ? ", but the bytes: " : "",
                      sample_of(line, sample));
    flow_land(flow, flow->in_flight, clock_now());
    line->first = line->end;
}

// Some bytes of an answer often tell the cause.
void line_fail(struct line *line, int error)
{
    char sample[SAMPLE_ROOM], cause[FAULT_TEXT_MAX];

    snprintf(cause, sizeof cause, "%s%s%s", error == 0 ? "closed by the server" : dial_error(error),
             line->in > 0 ? ", after the bytes: " : "", sample_of(line, sample));
    end(line, dial_failed(error) ? FAULT_CONNECT : FAULT_CLOSED, cause);
}
