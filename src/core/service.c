// SPDX-License-Identifier: MIT
#include "core/service.h"

struct counters service_counters(struct service *service, ticks now)
{
    struct counters counters = service->counters;

    peers_expire(&service->peers, now);
    counters.active_udp_peers = service->peers.count;
    return counters;
}

struct facts service_facts(struct service *service, enum protocol protocol,
                           const struct address *peer, const struct address *local, ticks now,
                           struct timespec time)
{
    return (struct facts){
        .protocol = protocol,
        .peer = *peer,
        .local = *local,
        .loopback = address_is_loopback(peer),
        .name = service->name,
        .uptime_seconds = now / TICKS_PER_SECOND,
        .draining = service->phase != PHASE_READY,
        .time = time,
        .now = now,
        .counters = service_counters(service, now),
        .gate = service->gate,
    };
}
