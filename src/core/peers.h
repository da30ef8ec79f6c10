// SPDX-License-Identifier: MIT
// peers: who was heard from by UDP in the last 60 seconds, and how much they may still ask for.
//
// A table of fixed size: memory does not grow, whatever arrives. At the bound, the peer that was
// silent longest is forgotten for the new one. The hash is keyed (SipHash-2-4, Aumasson and
// Bernstein 2012), so that nobody can choose addresses that fall into one chain.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/timeouts.h"

enum {
    PEERS_MAX = 32768,
    PEERS_WINDOW_SECONDS = 60,
    PEERS_PERIOD_SECONDS = 4, // the timer need not be more exact than this: see peers_next
    // Answers longer than their questions, in each second of the clock:
    PEERS_LONGER_PER_PEER = 10,
    PEERS_LONGER_IN_ALL = 100,
};

struct peer;

struct peers {
    struct peer *peer; // PEERS_MAX of them, numbered from 1; 0 is none
    uint32_t *bucket;  // the first peer of each chain
    uint32_t used;     // peers that were ever in use
    uint32_t unused;   // a chain of those that are free again
    uint32_t count;    // active ones
    uint32_t newest, oldest;
    uint64_t key[2];
    ticks second; // the limit's second, and how many longer answers there were in it
    uint32_t longer;
};

// KEY is secret and random. False without memory; peers_finish frees what was taken either way.
bool peers_init(struct peers *peers, const uint64_t key[2]);
void peers_finish(struct peers *peers);

// A datagram came from ADDRESS: the number of its peer, and in *FIRST whether it was not active.
uint32_t peers_heard(struct peers *peers, const struct address *address, ticks now, bool *first);

// Whether PEER, just heard from, may have one more answer that is longer than its question.
bool peers_allow_longer(struct peers *peers, uint32_t peer, ticks now);

// Forgets those whose window is over. Then peers->count is the number of active ones at NOW.
void peers_expire(struct peers *peers, ticks now);

// When to call peers_expire next so that nobody is remembered long, at a whole period.
ticks peers_next(const struct peers *peers);
