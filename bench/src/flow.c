// SPDX-License-Identifier: MIT
#include "flow.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "ground/util.h"

struct flow *flow_create(struct flows *flows, unsigned number, size_t bytes)
{
    struct flow *flow = calloc(1, bytes);

    if (!flow)
        return NULL;
    flow->watch.fd = -1;
    flow->flows = flows;
    flow->number = number;
    flows->alive++;
    return flow;
}

void flow_destroy(struct flow *flow)
{
    flow_close(flow);
    free(flow);
}

uint64_t flow_allowance(const struct flow *flow, uint64_t now)
{
    const struct flows *flows = flow->flows;

    if (flow->ended || flow->paused)
        return 0;
    return uint64_min(pace_allowance(&flows->pace, flow->number, flow->phase_begun, now),
                      flows->depth - flow->in_flight);
}

uint64_t flow_since(const struct flow *flow, uint64_t n, uint64_t now)
{
    return pace_since(&flow->flows->pace, flow->number, flow->phase_begun + n, now);
}

// How late we are with COUNT messages that begin at NOW: those that wait because the server is
// slow, having been planned when there was no room, tell nothing about that.
static void record_lateness(const struct flow *flow, uint64_t count, uint64_t now)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t planned = flow_since(flow, i, now);

        if (planned >= flow->room_since)
            histogram_record(&flow->flows->results->lateness, now > planned ? now - planned : 0, 1);
    }
}

void flow_begin(struct flow *flow, uint64_t count, uint64_t now)
{
    if (flow->flows->pace.period > 0)
        record_lateness(flow, count, now);
    flow->begun += count;
    flow->phase_begun += count;
    flow->in_flight += (unsigned)count;
    flow->flows->in_flight += count;
    pace_count(&flow->flows->pace, count, now);
}

void flow_land(struct flow *flow, unsigned count, uint64_t now)
{
    if (count > 0 && flow->in_flight == flow->flows->depth)
        flow->room_since = now;
    flow->in_flight -= count;
    flow->flows->in_flight -= count;
}

void flow_record(struct flow *flow, uint64_t since, uint64_t now, unsigned count)
{
    flow->stumbling = 0;
    flow->flows->answered = now;
    histogram_record(&flow->flows->results->latency, now > since ? now - since : 0, count);
}

int flow_wait(struct flow *flow, bool out)
{
    uint32_t events = out ? EPOLLIN | EPOLLOUT : EPOLLIN;

    return flow->watch.events == events ? 0 : loop_change(flow->flows->loop, &flow->watch, events);
}

void flow_close(struct flow *flow)
{
    if (flow->watch.fd < 0)
        return;
    loop_remove(flow->flows->loop, &flow->watch);
    close(flow->watch.fd);
    flow->watch.fd = -1;
}

void flow_fail(struct flow *flow, enum fault fault, const char *cause)
{
    results_fault(flow->flows->results, fault, 1, "connection %u: %s", flow->number, cause);
    flow_close(flow);
    flow_land(flow, flow->in_flight, clock_now());
    flow->ended = true;
    flow->flows->alive--;
}

void flow_stumble(struct flow *flow, enum fault fault, const char *cause, uint64_t now)
{
    if (flow->stumbling > 0 && now - flow->stumbling >= flow->flows->timeout) {
        flow_fail(flow, fault, cause);
        return;
    }
    results_fault(flow->flows->results, fault, 1, "connection %u: %s", flow->number, cause);
    flow->paused = true;
    if (flow->stumbling == 0)
        flow->stumbling = now;
}
