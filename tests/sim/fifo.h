// SPDX-License-Identifier: MIT
// fifo: bytes in, the same bytes out. Its memory does not count as the daemon's.
#pragma once

#include <stddef.h>

struct fifo {
    char *bytes;
    size_t start, length, room;
};

void fifo_put(struct fifo *fifo, const void *bytes, size_t length);

// The first byte; fifo->length of them follow one another.
static inline const char *fifo_first(const struct fifo *fifo)
{
    return fifo->bytes + fifo->start;
}

// Drops LENGTH bytes, of which there are enough; they go to BYTES unless that is NULL.
void fifo_take(struct fifo *fifo, void *bytes, size_t length);

void fifo_finish(struct fifo *fifo);
