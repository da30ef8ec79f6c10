// SPDX-License-Identifier: MIT
#include "weather.h"

#include <netinet/in.h>

enum { WIDE = 65535, ETHERNET = 1500, V6_LEAST = 1280, V4_LEAST = 600 };

// Packets in a row; each time, a connection waits twice as long before it tries again.
enum { OUTAGE_MAX = 6 };

// Those that a host can get about what it has sent, but for those about its size (RFC 5461).
static const struct packet_error errors4[] = {
    {3, 0, false, 0}, {3, 1, false, 0},  {3, 2, false, 0},  {3, 3, false, 0},
    {3, 5, false, 0}, {3, 9, false, 0},  {3, 10, false, 0}, {3, 13, false, 0},
    {4, 0, false, 0}, {11, 0, false, 0}, {11, 1, false, 0}, {12, 0, false, 0},
};
static const struct packet_error errors6[] = {
    {1, 0, true, 0}, {1, 1, true, 0}, {1, 3, true, 0}, {1, 4, true, 0},
    {3, 0, true, 0}, {4, 0, true, 0}, {4, 1, true, 0},
};

static bool happens(struct weather *weather, unsigned out_of_thousand)
{
    return chance_between(&weather->chance, 0, 999) < out_of_thousand;
}

// A rate for one of the things that can happen: not every seed has all of them.
static unsigned rate(struct weather *weather, unsigned most)
{
    if (chance_one_in(&weather->chance, 3))
        return 0;
    return (unsigned)chance_between(&weather->chance, 1, most);
}

void weather_init(struct weather *weather, uint64_t seed)
{
    *weather = (struct weather){.chance = {seed}, .limit4 = WIDE, .limit6 = WIDE};
    weather->loss = rate(weather, 150);
    weather->doubling = rate(weather, 150);
    weather->lateness = rate(weather, 300);
    weather->damage = rate(weather, 40);
    weather->errors = rate(weather, 150);
    weather->delay = (unsigned)chance_between(&weather->chance, 0, 2000);
    weather->jitter = (unsigned)chance_between(&weather->chance, 0, 3000);
    weather->narrows = chance_one_in(&weather->chance, 2);
    weather->silent = weather->narrows && chance_one_in(&weather->chance, 6);
    weather->device_narrows = chance_one_in(&weather->chance, 2);
    weather->until_limit = (unsigned)chance_between(&weather->chance, 10, 100);
    weather->until_device = (unsigned)chance_between(&weather->chance, 10, 100);
}

static unsigned limit(struct weather *weather, unsigned least)
{
    return (unsigned)chance_between(&weather->chance, least, ETHERNET);
}

static void change_limits(struct weather *weather, struct fate *fate)
{
    if (weather->narrows && weather->until_limit-- == 0) {
        // One that is silent is found out only by probing, which does not go below 1064 bytes.
        weather->limit4 = limit(weather, weather->silent ? V6_LEAST : V4_LEAST);
        weather->limit6 = limit(weather, V6_LEAST);
        weather->until_limit = (unsigned)chance_between(&weather->chance, 20, 200);
    }
    if (weather->device_narrows && weather->until_device-- == 0) {
        weather->device_limit = fate->device_limit = limit(weather, V6_LEAST);
        weather->until_device = (unsigned)chance_between(&weather->chance, 20, 200);
    }
}

// What IPv4 lets be fragmented gets through: such a hop is no loss.
static bool too_big(const struct weather *weather, const struct packet *packet, size_t length,
                    struct packet_error *error)
{
    unsigned most = packet->version == 6 ? weather->limit6 : weather->limit4;

    if (length <= most || !packet->dont_fragment)
        return false;
    *error = packet->version == 6 ? (struct packet_error){.v6 = true, .type = 2, .rest = most}
                                  : (struct packet_error){.type = 3, .code = 4, .rest = most};
    return true;
}

struct packet_error weather_error(struct weather *weather, bool v6)
{
    if (v6)
        return errors6[chance_between(&weather->chance, 0, sizeof errors6 / sizeof *errors6 - 1)];
    return errors4[chance_between(&weather->chance, 0, sizeof errors4 / sizeof *errors4 - 1)];
}

static bool lost(struct weather *weather)
{
    if (weather->outage > 0) {
        weather->outage--;
        return true;
    }
    if (weather->loss > 0 && happens(weather, 3))
        weather->outage = (unsigned)chance_between(&weather->chance, 2, OUTAGE_MAX);
    return happens(weather, weather->loss);
}

static uint64_t delay(struct weather *weather)
{
    uint64_t microseconds = weather->delay + chance_between(&weather->chance, 0, weather->jitter);

    // So late that others overtake it.
    if (happens(weather, weather->lateness))
        microseconds += chance_between(&weather->chance, 1000, 10000);
    return microseconds;
}

struct fate weather_fate(struct weather *weather, const struct packet *packet, size_t length)
{
    struct fate fate = {.copies = 1};

    change_limits(weather, &fate);
    fate.too_big = too_big(weather, packet, length, &fate.error);
    if (fate.too_big) {
        fate.error_sent = !weather->silent;
        fate.copies = 0;
        return fate;
    }
    // An error about the first packet of a connection is allowed to end it (RFC 5461, 4).
    fate.error_sent = packet->protocol != IPPROTO_ICMP && packet->protocol != IPPROTO_ICMPV6 &&
                      packet->first && !packet->opening && happens(weather, weather->errors);
    if (fate.error_sent)
        fate.error = weather_error(weather, packet->version == 6);
    if (lost(weather)) {
        fate.copies = 0;
        return fate;
    }
    while (fate.copies < COPIES_MAX && happens(weather, weather->doubling))
        fate.copies++;
    for (unsigned i = 0; i < fate.copies; i++)
        fate.delay[i] = delay(weather);
    fate.damaged = happens(weather, weather->damage);
    fate.bit = chance_next(&weather->chance);
    return fate;
}
