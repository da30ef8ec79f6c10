// SPDX-License-Identifier: MIT
// delays: what is to happen at a time of its own, the soonest first: a binary heap. Adding and
// removing one costs O(log n). See timeouts.h for deadlines of many that have the same time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DELAYS_NEVER UINT64_MAX

struct delay {
    uint64_t due;   // nanoseconds since the loop's start
    uint32_t place; // in the heap, from 1 on; 0: in none
};

struct delays {
    struct delay **heap; // owned; the delays are their objects'
    uint32_t count, room;
};

// All zero is a heap of none; delays_finish frees what it took.
void delays_finish(struct delays *delays);

// DELAY, which is in no heap, is to be DUE. False without memory.
bool delays_add(struct delays *delays, struct delay *delay, uint64_t due);

// Takes DELAY out, if it is in.
void delays_remove(struct delays *delays, struct delay *delay);

// One of those that are due at NOW, the soonest; or NULL.
struct delay *delays_due(const struct delays *delays, uint64_t now);

// The one that is due last, found in O(n); NULL if there is none.
struct delay *delays_last(const struct delays *delays);

// When the first is due, or DELAYS_NEVER.
uint64_t delays_next(const struct delays *delays);
