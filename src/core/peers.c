// SPDX-License-Identifier: MIT
#include "core/peers.h"

#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"

enum { BUCKETS = PEERS_MAX, WINDOW_TICKS = PEERS_WINDOW_SECONDS * TICKS_PER_SECOND };

struct peer {
    struct in6_addr ip;
    uint16_t port;
    uint16_t longer; // longer answers in `second`
    uint32_t second;
    ticks heard;
    uint32_t newer, older; // in order of being heard
    uint32_t chain;        // the next in the same bucket, or the next unused one
};

bool peers_init(struct peers *peers, const uint64_t key[2])
{
    *peers = (struct peers){.key = {key[0], key[1]}};
    peers->peer = calloc(PEERS_MAX + 1, sizeof *peers->peer);
    peers->bucket = calloc(BUCKETS, sizeof *peers->bucket);
    return peers->peer && peers->bucket;
}

void peers_finish(struct peers *peers)
{
    free(peers->peer);
    free(peers->bucket);
}

static uint32_t *bucket_of(struct peers *peers, const struct in6_addr *ip, uint16_t port)
{
    uint8_t key[sizeof *ip + sizeof port];

    memcpy(key, ip, sizeof *ip);
    memcpy(key + sizeof *ip, &port, sizeof port);
    return &peers->bucket[siphash(peers->key, key, sizeof key) % BUCKETS];
}

static uint32_t find(const struct peers *peers, uint32_t at, const struct address *address)
{
    while (at != 0 && (peers->peer[at].port != address->port ||
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

static void forget_oldest(struct peers *peers)
{
    uint32_t number = peers->oldest;
    struct peer *peer = &peers->peer[number];
    uint32_t *link = bucket_of(peers, &peer->ip, peer->port);

    while (*link != number)
        link = &peers->peer[*link].chain;
    *link = peer->chain;
    order_remove(peers, number);
    peer->chain = peers->unused;
    peers->unused = number;
    peers->count--;
}

static uint32_t take_unused(struct peers *peers)
{
    if (peers->count == PEERS_MAX)
        forget_oldest(peers);
    uint32_t number = peers->unused;
    if (number == 0)
        return ++peers->used;
    peers->unused = peers->peer[number].chain;
    return number;
}

uint32_t peers_heard(struct peers *peers, const struct address *address, ticks now, bool *first)
{
    peers_expire(peers, now);
    uint32_t *bucket = bucket_of(peers, &address->ip, address->port);
    uint32_t number = find(peers, *bucket, address);

    *first = number == 0;
    if (*first) {
        number = take_unused(peers); // may free the head of this very chain: read *bucket after it
        peers->peer[number] =
            (struct peer){.ip = address->ip, .port = address->port, .chain = *bucket};
        *bucket = number;
        peers->count++;
    } else if (peers->newest == number) {
        peers->peer[number].heard = now;
        return number;
    } else {
        order_remove(peers, number);
    }
    peers->peer[number].heard = now;
    order_newest(peers, number);
    return number;
}

bool peers_allow_longer(struct peers *peers, uint32_t number, ticks now)
{
    struct peer *peer = &peers->peer[number];
    uint32_t second = now / TICKS_PER_SECOND;

    if (peers->second != second) {
        peers->second = second;
        peers->longer = 0;
    }
    if (peer->second != second) {
        peer->second = second;
        peer->longer = 0;
    }
    if (peer->longer == PEERS_LONGER_PER_PEER || peers->longer == PEERS_LONGER_IN_ALL)
        return false;
    peer->longer++;
    peers->longer++;
    return true;
}

void peers_expire(struct peers *peers, ticks now)
{
    while (peers->oldest != 0 && now - peers->peer[peers->oldest].heard > WINDOW_TICKS)
        forget_oldest(peers);
}

ticks peers_next(const struct peers *peers)
{
    enum { PERIOD = PEERS_PERIOD_SECONDS * TICKS_PER_SECOND };

    if (peers->oldest == 0)
        return TICKS_NEVER;
    return (peers->peer[peers->oldest].heard + WINDOW_TICKS) / PERIOD * PERIOD + PERIOD;
}
