// SPDX-License-Identifier: MIT
#include "fifo.h"

#include <string.h>

#include "memory.h"

static void make_room(struct fifo *fifo, size_t more)
{
    if (fifo->start + fifo->length + more <= fifo->room)
        return;
    if (fifo->start > 0) {
        memmove(fifo->bytes, fifo->bytes + fifo->start, fifo->length);
        fifo->start = 0;
    }
    size_t room = fifo->room ? fifo->room : 64;
    while (room < fifo->length + more)
        room *= 2;
    if (room > fifo->room)
        fifo->bytes = memory_own(fifo->bytes, room);
    fifo->room = room;
}

void fifo_put(struct fifo *fifo, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    make_room(fifo, length);
    memcpy(fifo->bytes + fifo->start + fifo->length, bytes, length);
    fifo->length += length;
}

void fifo_take(struct fifo *fifo, void *bytes, size_t length)
{
    if (bytes && length > 0)
        memcpy(bytes, fifo->bytes + fifo->start, length);
    fifo->start += length;
    fifo->length -= length;
    if (fifo->length == 0)
        fifo->start = 0;
}

void fifo_finish(struct fifo *fifo)
{
    memory_own(fifo->bytes, 0);
    *fifo = (struct fifo){.room = 0};
}
