// SPDX-License-Identifier: MIT
#include "flow.h"

#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "ground/util.h"
#include "lines.h"

struct flow *flow_create(struct bench *bench, unsigned number)
{
    size_t places = (size_t)bench->flights_mask + 1;
    struct flow *flow = calloc(1, sizeof *flow + places * sizeof flow->flights[0]);

    if (!flow)
        return NULL;
    flow->watch.fd = -1;
    flow->bench = bench;
    flow->number = number;
    flow->reply = malloc(lines_reply_room(bench->settings));
    if (flow->reply)
        return flow;
    free(flow);
    return NULL;
}

void flow_destroy(struct flow *flow)
{
    if (flow->watch.fd >= 0)
        close(flow->watch.fd);
    free(flow->reply);
    free(flow);
}

static struct flight *flight_at(struct flow *flow, uint64_t place)
{
    return &flow->flights[place & flow->bench->flights_mask];
}

// When message N of this phase and flow is to be sent: the flows take turns.
static uint64_t planned(const struct flow *flow, uint64_t n)
{
    const struct bench *bench = flow->bench;
    uint64_t of_all = n * bench->settings->connections + flow->number;

    return bench->started + (uint64_t)((double)of_all * bench->period);
}

// How many messages may be begun at NOW, but for what is in flight.
static uint64_t allowance(const struct flow *flow, uint64_t now)
{
    const struct bench *bench = flow->bench;

    if (bench->stopped || flow->ended)
        return 0;
    if (bench->period == 0)
        return bench->left;
    uint64_t of_all = (uint64_t)((double)(now - bench->started) / bench->period) + 1;
    if (of_all <= flow->number)
        return 0;
    uint64_t due = (of_all - flow->number - 1) / bench->settings->connections + 1;
    // What is due may have been rounded to less than had been begun.
    return due <= flow->phase_begun ? 0 : size_min(due - flow->phase_begun, bench->left);
}

// Each datagram for itself, as far as there are places: one of long ago may still be waited for.
static unsigned begin_datagrams(struct flow *flow, uint64_t most, uint64_t now)
{
    bool open = flow->bench->period > 0;
    unsigned count = 0;

    for (; count < most; count++) {
        struct flight *flight = flight_at(flow, flow->begun + count);

        if (flight->sent != 0)
            break;
        flight->since = open ? planned(flow, flow->phase_begun + count) : now;
        flight->sent = now;
    }
    return count;
}

static unsigned begin_lines(struct flow *flow, uint64_t most, uint64_t now)
{
    if (flow->bench->period == 0 && most > 0)
        *flight_at(flow, flow->end++) = (struct flight){.since = now, .count = most};
    for (uint64_t i = 0; flow->bench->period > 0 && i < most; i++)
        *flight_at(flow, flow->end++) =
            (struct flight){.since = planned(flow, flow->phase_begun + i), .count = 1};
    return (unsigned)most;
}

unsigned flow_begin(struct flow *flow, uint64_t now)
{
    struct bench *bench = flow->bench;
    uint64_t most = size_min(allowance(flow, now), bench->settings->depth - flow->in_flight);
    unsigned count =
        bench->settings->udp ? begin_datagrams(flow, most, now) : begin_lines(flow, most, now);

    flow->begun += count;
    flow->phase_begun += count;
    flow->in_flight += count;
    bench->in_flight += count;
    bench->left -= count;
    if (bench->left == 0)
        bench->stopped = true;
    return count;
}

static void land(struct flow *flow, uint64_t sequence)
{
    flight_at(flow, sequence)->sent = 0;
    flow->in_flight--;
    flow->bench->in_flight--;
}

static void record(struct bench *bench, uint64_t since, uint64_t now, unsigned times)
{
    histogram_record(&bench->results.latency, now > since ? now - since : 0, times);
}

void flow_answered(struct flow *flow, uint64_t sequence, uint64_t now)
{
    record(flow->bench, flight_at(flow, sequence)->since, now, 1);
    land(flow, sequence);
    if (sequence >= flow->answered)
        flow->answered = sequence + 1;
}

void flow_answered_next(struct flow *flow, unsigned count, uint64_t now)
{
    flow->in_flight -= count;
    flow->bench->in_flight -= count;
    flow->answered += count;
    while (count > 0) {
        struct flight *flight = flight_at(flow, flow->first);
        unsigned alike = (unsigned)size_min(count, flight->count);

        record(flow->bench, flight->since, now, alike);
        flight->count -= alike;
        flow->first += flight->count == 0;
        count -= alike;
    }
}

int flow_wait(struct flow *flow, bool out)
{
    struct watch *watch = &flow->watch;
    uint32_t events = out ? watch->events | EPOLLOUT : watch->events & ~(uint32_t)EPOLLOUT;

    return watch->events == events ? 0 : loop_change(&flow->bench->loop, watch, events);
}

bool flow_in_flight(const struct flow *flow, uint64_t sequence)
{
    uint64_t mask = flow->bench->flights_mask;

    return sequence < flow->begun && flow->begun - sequence <= mask + 1 &&
           flow->flights[sequence & mask].sent != 0;
}

void flow_give_up(struct flow *flow, uint64_t before)
{
    uint64_t ring = flow->bench->flights_mask + 1;
    uint64_t first = flow->begun > ring ? flow->begun - ring : 0;

    for (uint64_t i = first; i < flow->begun && flow->in_flight > 0; i++) {
        if (flight_at(flow, i)->sent == 0 || flight_at(flow, i)->sent >= before)
            continue;
        land(flow, i);
        results_fault(&flow->bench->results, FAULT_LOST, 1,
                      "no answer to message %llu of connection %u", (unsigned long long)i,
                      flow->number);
    }
}

void flow_give_up_all(struct flow *flow)
{
    if (flow->in_flight > 0)
        results_fault(&flow->bench->results, FAULT_LOST, flow->in_flight,
                      "no answer to message %llu of connection %u",
                      (unsigned long long)flow->answered, flow->number);
    flow->bench->in_flight -= flow->in_flight;
    flow->in_flight = 0;
}

void flow_fail(struct flow *flow, enum fault fault, const char *cause)
{
    struct bench *bench = flow->bench;
    char sample[48];

    // Some bytes of an answer often tell the cause: "Server Busy".
    results_fault(&bench->results, fault, 1, "connection %u: %s%s%s", flow->number, cause,
                  flow->in > 0 ? ", after the bytes: " : "",
                  results_sample(sample, sizeof sample, flow->reply,
                                 size_min(flow->in, lines_reply_room(bench->settings))));
    if (flow->watch.fd >= 0) {
        loop_remove(&bench->loop, &flow->watch);
        close(flow->watch.fd);
        flow->watch.fd = -1;
    }
    flow->ended = true;
    bench->in_flight -= flow->in_flight;
    flow->in_flight = 0;
    bench->alive--;
}
