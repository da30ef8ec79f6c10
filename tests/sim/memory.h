// SPDX-License-Identifier: MIT
// memory: the daemon's allocations, counted, filled with rubbish, moved whenever they may be, and
// refused when the universe's faults say so.
#pragma once

#include <stddef.h>

// What the daemon holds.
extern struct allocated {
    size_t blocks, bytes;
} allocated;

// The simulation's own memory: resizes BLOCK (NULL: a new one) to SIZE bytes; 0 frees it.
void *memory_own(void *block, size_t size);

// Likewise ARRAY, which has room for *ROOM elements of SIZE bytes, for one more than COUNT.
void *memory_room(void *array, size_t count, size_t *room, size_t size);
