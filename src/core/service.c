// SPDX-License-Identifier: MIT
#include "core/service.h"

struct facts service_facts(struct service *service, enum protocol protocol, ticks now,
                           struct timespec time)
{
    peers_expire(&service->peers, now);
    service->counters.active_udp_peers = service->peers.count;
    return (struct facts){
        .known = true,
        .protocol = protocol,
        .time = time,
        .now = now,
        .counters = service->counters,
    };
}
