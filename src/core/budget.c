// SPDX-License-Identifier: MIT
#include "core/budget.h"

#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"

enum {
    ONE = 65536, // of the units that shares and lots are counted in
    SHARE_MAX = BUDGET_PER_HOST * ONE,
    AIM = BUDGET_IN_ALL * 9 /
          10,          // so that chance seldom meets the bound, and the last are served too
    NETWORK_BYTES = 7, // a /56: what one customer is given
};

struct budget_host {
    uint32_t second;
    uint16_t asked, before; // in this second, and in the one before
    uint16_t given;
};

bool budget_init(struct budget *budget, const uint64_t key[2])
{
    *budget = (struct budget){.key = {key[0], key[1]}, .now.share = SHARE_MAX};
    budget->host = calloc(BUDGET_HOSTS, sizeof *budget->host);
    return budget->host;
}

void budget_finish(struct budget *budget)
{
    free(budget->host);
}

// On one link, every neighbour is a host of its own; elsewhere an IPv6 host has a whole network.
static struct budget_host *host_of(struct budget *budget, const struct address *address)
{
    struct {
        struct in6_addr ip;
        uint32_t scope;
    } host = {.scope = address->scope};
    bool whole = address_is_v4(address) || IN6_IS_ADDR_LINKLOCAL(&address->ip);

    memcpy(&host.ip, &address->ip, whole ? sizeof host.ip : NETWORK_BYTES);
    return &budget->host[siphash(budget->key, (const uint8_t *)&host, sizeof host) % BUDGET_HOSTS];
}

static void begin_second(struct budget *budget, uint32_t second)
{
    uint64_t share = SHARE_MAX;

    if (second - budget->now.second == 1 && budget->now.won > 0)
        share = (uint64_t)budget->now.share * AIM / budget->now.won;
    // It is 0 only after more questions in a second than a machine can take, and nobody wins then.
    budget->now.share = share > SHARE_MAX ? SHARE_MAX : (uint32_t)share;
    budget->now.second = second;
    budget->now.won = budget->now.given = 0;
}

// Counts one more question of HOST: how many it is likely to ask in this second.
static uint32_t demand(struct budget_host *host, uint32_t second)
{
    if (host->second != second) {
        host->before = second - host->second == 1 ? host->asked : 0;
        host->second = second;
        host->asked = host->given = 0;
    }
    if (host->asked < UINT16_MAX)
        host->asked++;
    return host->asked > host->before ? host->asked : host->before;
}

void budget_take_kept(struct budget *budget, const struct budget_kept *kept)
{
    budget->now = *kept;
    if (kept->share > SHARE_MAX)
        budget->now.share = SHARE_MAX;
    if (kept->given > BUDGET_IN_ALL)
        budget->now.given = BUDGET_IN_ALL;
}

bool budget_allow(struct budget *budget, const struct address *address, ticks now)
{
    struct budget_host *host = host_of(budget, address);
    uint32_t second = now / TICKS_PER_SECOND;

    if (budget->now.second != second)
        begin_second(budget, second);
    uint64_t draw = ++budget->draws;
    uint64_t lot = siphash(budget->key, (const uint8_t *)&draw, sizeof draw) % ONE;
    if (lot * demand(host, second) >= budget->now.share || host->given == BUDGET_PER_HOST)
        return false;
    budget->now.won++;
    if (budget->now.given == BUDGET_IN_ALL)
        return false;
    host->given++;
    budget->now.given++;
    return true;
}
