// SPDX-License-Identifier: MIT
#include "core/peers.h"

#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"

enum {
    BUCKETS = PEERS_MAX,
    WINDOW_TICKS = PEERS_HEARD_TICKS - 1,
    // How much nearer a datagram that was seen before brings the end of a loop.
    REPEATED_WEIGHT = PEERS_NEW_ROUNDS_MAX / PEERS_ROUNDS_MAX,
};

struct peer {
    struct in6_addr ip;
    uint32_t scope;
    uint16_t port;
    uint8_t longer; // questions in `second` with longer answers
    uint8_t rounds; // of which every 256th leaves its digest to be compared with
    uint32_t second;
    uint32_t digest, weight; // weight: of the answers since one was left out
    ticks heard;
    uint32_t newer, older; // in order of being heard
    uint32_t chain;        // the next in the same bucket, or the next unused one
};

bool peers_init(struct peers *peers, const uint64_t key[2])
{
    *peers = (struct peers){.key = {key[0], key[1]}};
    peers->peer = calloc(PEERS_MAX + 1, sizeof *peers->peer);
    peers->bucket = calloc(BUCKETS, sizeof *peers->bucket);
    return budget_init(&peers->budget, key) && peers->peer && peers->bucket;
}

void peers_finish(struct peers *peers)
{
    free(peers->peer);
    free(peers->bucket);
    budget_finish(&peers->budget);
}

static uint32_t *bucket_of(struct peers *peers, const struct address *address)
{
    uint8_t key[sizeof address->ip + sizeof address->scope + sizeof address->port];

    memcpy(key, &address->ip, sizeof address->ip);
    memcpy(key + sizeof address->ip, &address->scope, sizeof address->scope);
    memcpy(key + sizeof key - sizeof address->port, &address->port, sizeof address->port);
    return &peers->bucket[siphash(peers->key, key, sizeof key) % BUCKETS];
}

static struct address address_of_peer(const struct peer *peer)
{
    return (struct address){.ip = peer->ip, .scope = peer->scope, .port = peer->port};
}

static uint32_t find(const struct peers *peers, uint32_t at, const struct address *address)
{
    while (at != 0 &&
           (peers->peer[at].port != address->port || peers->peer[at].scope != address->scope ||
            memcmp(&peers->peer[at].ip, &address->ip, sizeof address->ip) != 0))
        at = peers->peer[at].chain;
    return at;
}

static void order_remove(struct peers *peers, uint32_t number)
{
    const struct peer *peer = &peers->peer[number];

    *(peer->newer ? &peers->peer[peer->newer].older : &peers->newest) = peer->older;
    *(peer->older ? &peers->peer[peer->older].newer : &peers->oldest) = peer->newer;
}

static void order_newest(struct peers *peers, uint32_t number)
{
    struct peer *peer = &peers->peer[number];

    peer->newer = 0;
    peer->older = peers->newest;
    *(peers->newest ? &peers->peer[peers->newest].newer : &peers->oldest) = number;
    peers->newest = number;
}

// Lets time pass until NOW: whoever was heard just before the window is active no more.
static void advance(struct peers *peers, ticks now)
{
    ticks left = now - peers->now < PEERS_HEARD_TICKS ? now - peers->now : PEERS_HEARD_TICKS;

    for (ticks tick = now; left > 0; left--, tick--) {
        peers->count -= peers->heard_in[tick % PEERS_HEARD_TICKS];
        peers->heard_in[tick % PEERS_HEARD_TICKS] = 0;
    }
    peers->now = now;
}

static bool active(const struct peers *peers, const struct peer *peer)
{
    return peers->now - peer->heard <= WINDOW_TICKS;
}

// PEER counts among those who were heard in its tick: one MORE, or one less.
static void count(struct peers *peers, const struct peer *peer, bool more)
{
    peers->heard_in[peer->heard % PEERS_HEARD_TICKS] += more ? 1U : -1U;
    peers->count += more ? 1U : -1U;
}

static void forget_oldest(struct peers *peers)
{
    uint32_t number = peers->oldest;
    struct peer *peer = &peers->peer[number];
    struct address address = address_of_peer(peer);
    uint32_t *link = bucket_of(peers, &address);

    while (*link != number)
        link = &peers->peer[*link].chain;
    *link = peer->chain;
    order_remove(peers, number);
    peer->chain = peers->unused;
    peers->unused = number;
    peers->known--;
    if (active(peers, peer))
        count(peers, peer, false);
}

static uint32_t take_unused(struct peers *peers)
{
    if (peers->known == PEERS_MAX)
        forget_oldest(peers);
    uint32_t number = peers->unused;
    if (number == 0)
        return ++peers->used;
    peers->unused = peers->peer[number].chain;
    return number;
}

// A new peer in the table, which the lists do not know yet.
static uint32_t add(struct peers *peers, uint32_t *bucket, const struct address *address)
{
    uint32_t number =
        take_unused(peers); // may free the head of this very chain: *bucket comes after

    peers->peer[number] = (struct peer){
        .ip = address->ip, .scope = address->scope, .port = address->port, .chain = *bucket};
    *bucket = number;
    peers->known++;
    return number;
}

uint32_t peers_heard(struct peers *peers, const struct address *address, ticks now, bool *first)
{
    uint32_t *bucket = bucket_of(peers, address);
    uint32_t number = find(peers, *bucket, address);

    advance(peers, now);
    *first = number == 0 || !active(peers, &peers->peer[number]);
    if (number == 0) {
        number = add(peers, bucket, address);
        order_newest(peers, number);
    } else {
        if (!*first)
            count(peers, &peers->peer[number], false);
        if (peers->newest != number) {
            order_remove(peers, number);
            order_newest(peers, number);
        }
    }
    peers->peer[number].heard = now;
    count(peers, &peers->peer[number], true);
    return number;
}

bool peers_allow_longer(struct peers *peers, uint32_t number, ticks now)
{
    struct peer *peer = &peers->peer[number];
    struct address address = address_of_peer(peer);
    uint32_t second = now / TICKS_PER_SECOND;

    if (peer->second != second) {
        peer->second = second;
        peer->longer = 0;
    }
    if (peer->longer == PEERS_LONGER_PER_PEER)
        return false;
    peer->longer++;
    return budget_allow(&peers->budget, &address, now);
}

bool peers_allow_round(struct peers *peers, uint32_t number, uint32_t digest)
{
    struct peer *peer = &peers->peer[number];

    peer->weight += digest == peer->digest ? REPEATED_WEIGHT : 1;
    if (peer->rounds++ == 0)
        peer->digest = digest;
    if (peer->weight < PEERS_NEW_ROUNDS_MAX)
        return true;
    peer->weight = 0;
    return false;
}

bool peers_next_kept(const struct peers *peers, uint32_t *at, struct peer_kept *kept)
{
    *at = *at == 0 ? peers->oldest : peers->peer[*at].newer;
    if (*at == 0)
        return false;
    const struct peer *peer = &peers->peer[*at];
    *kept = (struct peer_kept){.address = address_of_peer(peer),
                               .heard = peer->heard,
                               .second = peer->second,
                               .digest = peer->digest,
                               .weight = peer->weight,
                               .longer = peer->longer,
                               .rounds = peer->rounds};
    return true;
}

void peers_take_kept(struct peers *peers, const struct peer_kept *kept, ticks now)
{
    uint32_t *bucket = bucket_of(peers, &kept->address);

    advance(peers, now);
    if (find(peers, *bucket, &kept->address) != 0)
        return;
    // In the order of being heard, whatever it says.
    ticks before = peers->newest ? peers->peer[peers->newest].heard : 0;
    ticks heard = kept->heard < before ? before : ticks_sooner(kept->heard, now);
    uint32_t number = add(peers, bucket, &kept->address);
    struct peer *peer = &peers->peer[number];
    peer->heard = heard;
    peer->second = kept->second;
    peer->digest = kept->digest;
    peer->weight = kept->weight;
    peer->longer = kept->longer < PEERS_LONGER_PER_PEER ? kept->longer : PEERS_LONGER_PER_PEER;
    peer->rounds = kept->rounds;
    order_newest(peers, number);
    if (active(peers, peer))
        count(peers, peer, true);
}

void peers_expire(struct peers *peers, ticks now)
{
    advance(peers, now);
    for (int i = 0; i < PEERS_FORGOTTEN_MAX && peers->oldest != 0 &&
                    !active(peers, &peers->peer[peers->oldest]);
         i++)
        forget_oldest(peers);
}

ticks peers_next(const struct peers *peers)
{
    enum { PERIOD = PEERS_PERIOD_SECONDS * TICKS_PER_SECOND };

    if (peers->oldest == 0)
        return TICKS_NEVER;
    return (peers->peer[peers->oldest].heard + WINDOW_TICKS) / PERIOD * PERIOD + PERIOD;
}
