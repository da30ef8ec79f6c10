// SPDX-License-Identifier: MIT
#include "flow.h"

#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "lines.h"
#include "util.h"

bool flow_init(struct flow *flow, struct bench *bench, unsigned number)
{
    *flow = (struct flow){.watch.fd = -1, .bench = bench, .number = number};
    flow->flights = calloc(bench->flights_mask + 1, sizeof *flow->flights);
    flow->reply = malloc(lines_reply_room(bench->settings));
    return flow->flights && flow->reply;
}

void flow_finish(struct flow *flow)
{
    if (flow->watch.fd >= 0)
        close(flow->watch.fd);
    free(flow->flights);
    free(flow->reply);
}

static struct flight *flight_of(const struct flow *flow, uint64_t sequence)
{
    return &flow->flights[sequence & flow->bench->flights_mask];
}

// What a loop over messages keeps at hand.
struct ring {
    struct flight *flights;
    uint64_t mask;
};

static struct ring ring_of(const struct flow *flow)
{
    return (struct ring){flow->flights, flow->bench->flights_mask};
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

unsigned flow_begin(struct flow *flow, uint64_t now)
{
    struct bench *bench = flow->bench;
    uint64_t most = size_min(allowance(flow, now), bench->settings->depth - flow->in_flight);
    unsigned count = 0;

    for (struct ring ring = ring_of(flow); count < most; count++) {
        struct flight *flight = &ring.flights[(flow->begun + count) & ring.mask];

        if (flight->sent != 0) // datagrams: one of long ago is still waited for
            break;
        *flight = (struct flight){now, now};
    }
    for (unsigned i = 0; bench->period > 0 && i < count; i++)
        flight_of(flow, flow->begun + i)->since = planned(flow, flow->phase_begun + i);
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
    flight_of(flow, sequence)->sent = 0;
    flow->in_flight--;
    flow->bench->in_flight--;
}

static void record(struct bench *bench, uint64_t since, uint64_t now, unsigned times)
{
    histogram_record(&bench->results.latency, now > since ? now - since : 0, times);
}

void flow_answered(struct flow *flow, uint64_t sequence, uint64_t now)
{
    record(flow->bench, flight_of(flow, sequence)->since, now, 1);
    land(flow, sequence);
    if (sequence >= flow->answered)
        flow->answered = sequence + 1;
}

void flow_answered_next(struct flow *flow, unsigned count, uint64_t now)
{
    flow->in_flight -= count;
    flow->bench->in_flight -= count;
    for (struct ring ring = ring_of(flow); count > 0;) {
        uint64_t first = flow->answered, since = ring.flights[first & ring.mask].since;
        unsigned alike = 0; // that were begun together

        do {
            ring.flights[(first + alike) & ring.mask].sent = 0;
            alike++;
        } while (alike < count && ring.flights[(first + alike) & ring.mask].since == since);
        record(flow->bench, since, now, alike);
        flow->answered += alike;
        count -= alike;
    }
}

bool flow_in_flight(const struct flow *flow, uint64_t sequence)
{
    return sequence < flow->begun && flow->begun - sequence <= flow->bench->flights_mask + 1 &&
           flight_of(flow, sequence)->sent != 0;
}

void flow_give_up(struct flow *flow, uint64_t before)
{
    uint64_t ring = flow->bench->flights_mask + 1;
    uint64_t first = flow->begun > ring ? flow->begun - ring : 0;

    for (uint64_t i = first; i < flow->begun && flow->in_flight > 0; i++) {
        if (flight_of(flow, i)->sent == 0 || flight_of(flow, i)->sent >= before)
            continue;
        land(flow, i);
        results_fault(&flow->bench->results, FAULT_LOST, 1,
                      "no answer to message %llu of connection %u", (unsigned long long)i,
                      flow->number);
    }
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
