// SPDX-License-Identifier: MIT
// chance: randomness that can be replayed: splitmix64 (Steele, Lea and Flood 2014).
#pragma once

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

static inline uint64_t chance_below(struct chance *chance, uint64_t bound)
{
    return chance_next(chance) % bound;
}

// From LOW to HIGH, both included.
static inline uint64_t chance_between(struct chance *chance, uint64_t low, uint64_t high)
{
    return low + chance_below(chance, high - low + 1);
}

static inline bool chance_one_in(struct chance *chance, uint64_t n)
{
    return chance_below(chance, n) == 0;
}

// A number up to HIGH whose magnitude, not value, is evenly spread: small ones are as likely as
// large ones.
static inline uint64_t chance_magnitude(struct chance *chance, uint64_t high)
{
    uint64_t bits = 0, drawn = chance_next(chance);

    while (high >> bits)
        bits++;
    uint64_t value = drawn % ((uint64_t)1 << chance_between(chance, 0, bits));
    return value < high ? value : high;
}
