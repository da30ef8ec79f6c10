// SPDX-License-Identifier: MIT
// chance: the one source of randomness of a universe: splitmix64 (Steele, Lea and Flood 2014).
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t z = chance->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// From LOW to HIGH, both included.
static inline uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high)
{
    return low + chance_next(chance) % (high - low + 1);
}

static inline bool chance_one_in(struct chance *chance, uint64_t n)
{
    return chance_next(chance) % n == 0;
}

// A number up to HIGH whose magnitude, not value, is evenly spread: small ones are as likely as
// large ones.
static inline uint64_t chance_magnitude(struct chance *chance, uint64_t high)
{
    uint64_t bits = 0;

    while (high >> bits)
        bits++;
    uint64_t value = chance_next(chance) % ((uint64_t)1 << chance_between(chance, 0, bits));
    return value < high ? value : high;
}

#endif
