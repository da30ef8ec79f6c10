// SPDX-License-Identifier: MIT
// service: what TCP and UDP share.
#ifndef SERVICE_H
#define SERVICE_H

#include "core/answer.h"
#include "core/peers.h"

struct service {
    struct counters counters;
    struct peers peers;
    struct gate gate;
};

// The facts for one asker at one instant: NOW on the monotonic clock, TIME of day.
struct facts service_facts(struct service *service, enum protocol protocol, ticks now,
                           struct timespec time);

#endif
