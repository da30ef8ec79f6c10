// SPDX-License-Identifier: MIT
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>

#include "payload.h"

struct traffic *traffic_create(const struct settings *settings, size_t bytes)
{
    struct traffic *traffic = calloc(1, bytes);

    if (!traffic)
        return NULL;
    traffic->settings = settings;
    traffic->stamped =
        !settings->has_request &&
        (settings->verify || (settings->udp && settings->size > PAYLOAD_STAMP_BYTES));
    traffic->flows.depth = settings->depth;
    traffic->flows.timeout = settings->timeout;
    traffic->flows.pace.flows = settings->connections;
    traffic->flows.pace.period = settings->rate > 0 ? 1e9 / settings->rate : 0;
    traffic->flows.pace.stopped = true;
    return traffic;
}

void traffic_destroy(struct traffic *traffic)
{
    if (!traffic)
        return;
    for (unsigned i = 0; i < traffic->opened; i++)
        flow_destroy(traffic->all[i]);
    free(traffic->all);
    free(traffic);
}

int traffic_open(struct traffic *traffic)
{
    unsigned count = traffic->settings->connections;

    traffic->all = calloc(count, sizeof(struct flow *));
    while (traffic->all && traffic->opened < count) {
        struct flow *flow = flow_create(&traffic->flows, traffic->opened, traffic->flow_bytes);

        if (!flow)
            return -1;
        traffic->all[traffic->opened++] = flow;
        if (traffic->open(flow))
            continue;
        if (traffic->opened == 1)
            return -1;
        flow_fail(flow, FAULT_CONNECT, dial_error(errno));
    }
    return traffic->all ? 0 : -1;
}

void traffic_go(struct traffic *traffic, uint64_t now)
{
    for (unsigned i = 0; i < traffic->opened; i++) {
        if (traffic->all[i]->paused)
            traffic->all[i]->room_since = now;
        traffic->all[i]->paused = false;
        traffic->go(traffic->all[i], now);
    }
}

void traffic_start(struct traffic *traffic, uint64_t now, uint64_t duration, uint64_t messages)
{
    pace_start(&traffic->flows.pace, now, duration, messages);
    for (unsigned i = 0; i < traffic->opened; i++)
        traffic->all[i]->phase_begun = 0;
}

uint64_t traffic_places(uint64_t messages)
{
    uint64_t places = 1;

    while (places < messages)
        places *= 2;
    return places;
}
