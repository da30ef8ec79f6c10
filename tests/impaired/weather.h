// SPDX-License-Identifier: MIT
// weather: what happens to each packet of one direction. All of it comes from the seed, in the
// order of the packets.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chance.h"
#include "packet.h"

enum { COPIES_MAX = 3 };

struct weather {
    struct chance chance;
    // Out of a thousand packets.
    unsigned loss, doubling, lateness, damage, errors;
    unsigned delay, jitter; // microseconds
    unsigned outage;        // packets that are still to be lost in a row
    // The next hop's limit: where it changes at all, it does every so many packets.
    bool narrows;
    bool silent; // it does not say so when it drops a packet
    unsigned limit4, limit6, until_limit;
    // The limit of the sender's own device, likewise.
    bool device_narrows;
    unsigned device_limit, until_device;
};

struct fate {
    unsigned copies;            // 0: lost
    uint64_t delay[COPIES_MAX]; // microseconds
    bool damaged;               // the first copy
    uint64_t bit;               // which
    bool too_big;               // lost, and ERROR says why unless the hop is silent
    bool error_sent;            // ERROR goes to the sender
    struct packet_error error;
    unsigned device_limit; // that the sender's device has from now on; 0: as before
};

void weather_init(struct weather *weather, uint64_t seed);
struct fate weather_fate(struct weather *weather, const struct packet *packet, size_t length);

// An error that tells of nothing that is true.
struct packet_error weather_error(struct weather *weather, bool v6);
