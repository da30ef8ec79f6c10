// SPDX-License-Identifier: MIT
// budget: how many answers longer than their questions the hosts may have by UDP, each and
// together.
//
// A host may have BUDGET_PER_HOST a second, however many ports it asks from. Where hosts ask for
// more than there is, the share of each shrinks from second to second until what is asked for fits;
// and which of a host's questions its share goes to is decided by lot, lest the first ones have it
// all. Hosts are counted in a table of fixed size: those that the keyed hash puts into one place
// share.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/timeouts.h"

enum {
    // In each second of the clock:
    BUDGET_PER_HOST = 50,
    BUDGET_IN_ALL = 100,
    BUDGET_HOSTS = 4096, // that are counted apart
};

struct budget_host;

// What all hosts have in common.
struct budget_kept {
    uint32_t second, won, given; // this second, questions that the lot fell on in it, and answers
    uint32_t share;              // of a host, in 65536ths of an answer
};

struct budget {
    struct budget_host *host; // BUDGET_HOSTS of them
    uint64_t key[2];
    struct budget_kept now;
    uint64_t draws;
};

// KEY is secret and random. False without memory; budget_finish frees what was taken either way.
bool budget_init(struct budget *budget, const uint64_t key[2]);
void budget_finish(struct budget *budget);

// Goes on from what another process has KEPT, which is within the bounds afterwards.
void budget_take_kept(struct budget *budget, const struct budget_kept *kept);

// Whether a host may have one more such answer; of ADDRESS, the port does not matter.
bool budget_allow(struct budget *budget, const struct address *address, ticks now);
