// SPDX-License-Identifier: MIT
// peers: who was heard from by UDP in the last 60 seconds, and how much they may still ask for.
//
// A table of fixed size: memory does not grow, whatever arrives. At the bound, the peer that was
// silent longest is forgotten for the new one. The hash is keyed (SipHash-2-4, Aumasson and
// Bernstein 2012), so that nobody can choose addresses that fall into one chain. Active peers are
// counted by the tick in which they were heard, so that the count is exact at once, and who has
// ceased to be active can leave the table a few at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/address.h"
#include "core/budget.h"
#include "core/timeouts.h"

enum {
    PEERS_MAX = 32768,
    PEERS_WINDOW_SECONDS = 60,
    PEERS_PERIOD_SECONDS = 4,  // the timer need not be more exact than this: see peers_next
    PEERS_FORGOTTEN_MAX = 512, // by one peers_expire: some 0.1 ms
    // Questions with longer answers in each second of the clock, before its host's budget is asked:
    PEERS_LONGER_PER_PEER = 10,
    // A loop ends within so many rounds for each forged datagram: if it repeats itself, and if not.
    PEERS_ROUNDS_MAX = 16384,
    PEERS_NEW_ROUNDS_MAX = 1 << 20,
    PEERS_HEARD_TICKS = PEERS_WINDOW_SECONDS * TICKS_PER_SECOND + 1,
};

struct peer;

// What the process that goes on after this one is to know of a peer.
struct peer_kept {
    struct address address;
    ticks heard;
    uint32_t second, digest, weight; // as struct peer has them
    uint8_t longer, rounds;
};

struct peers {
    struct peer *peer; // PEERS_MAX of them, numbered from 1; 0 is none
    uint32_t *bucket;  // the first peer of each chain
    uint32_t used;     // peers that were ever in use
    uint32_t unused;   // a chain of those that are free again
    uint32_t known;    // in the table
    uint32_t count;    // active ones at `now`, and by the tick in which they were last heard
    uint32_t heard_in[PEERS_HEARD_TICKS];
    ticks now;
    uint32_t newest, oldest;
    uint64_t key[2];
    struct budget budget;
};

// KEY is secret and random. False without memory; peers_finish frees what was taken either way.
bool peers_init(struct peers *peers, const uint64_t key[2]);
void peers_finish(struct peers *peers);

// A datagram came from ADDRESS: the number of its peer, and in *FIRST whether it was not active.
uint32_t peers_heard(struct peers *peers, const struct address *address, ticks now, bool *first);

// Whether PEER, just heard from, may have one more answer that is longer than its question.
bool peers_allow_longer(struct peers *peers, uint32_t peer, ticks now);

// Whether PEER, just heard from, may have an answer to a datagram of this DIGEST. What answers to
// answers never ends by itself: now and then one is left out, which ends it. A peer that repeats
// itself loses one datagram in PEERS_ROUNDS_MAX, another one in PEERS_NEW_ROUNDS_MAX.
bool peers_allow_round(struct peers *peers, uint32_t peer, uint32_t digest);

// The peers from the one that was silent longest on: *AT is 0 before the first. False: that was
// all.
bool peers_next_kept(const struct peers *peers, uint32_t *at, struct peer_kept *kept);

// Takes in a peer, in that order, at NOW. One that is known already is left out.
void peers_take_kept(struct peers *peers, const struct peer_kept *kept, ticks now);

// Forgets those whose window is over, some at a time. Then peers->count is the number of active
// ones at NOW.
void peers_expire(struct peers *peers, ticks now);

// When to call peers_expire next so that nobody is remembered long, at a whole period; it may be
// over.
ticks peers_next(const struct peers *peers);
