// SPDX-License-Identifier: MIT
#include "memory.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { MAGIC = 0x5eed, RUBBISH_NEW = 0xa5, RUBBISH_OLD = 0xdb, RUBBISH_MAX = 1 << 18 };

// In front of each of the daemon's blocks.
struct header {
    alignas(16) size_t size;
    size_t magic;
};

struct allocated allocated;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);

void *memory_own(void *block, size_t size)
{
    if (size == 0) {
        __real_free(block);
        return NULL;
    }
    void *moved = __real_realloc(block, size);
    if (!moved)
        fail("the simulation itself is out of memory");
    return moved;
}

void *memory_room(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return array;
    *room = *room ? 2 * *room : 64;
    return memory_own(array, *room * size);
}

static void *handed_out(struct header *header, size_t size)
{
    *header = (struct header){.size = size, .magic = MAGIC};
    allocated.blocks++;
    allocated.bytes += size;
    trace("  allocates %zu bytes", size);
    return header + 1;
}

static bool refused(void)
{
    if (!fault_error(CALL_MEMORY, faults.busy_with))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    if (refused())
        return NULL;
    struct header *header = __real_malloc(sizeof *header + size);
    memset(header + 1, RUBBISH_NEW, size < RUBBISH_MAX ? size : 0);
    return handed_out(header, size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (refused())
        return NULL;
    return handed_out(__real_calloc(1, sizeof(struct header) + count * size), count * size);
}

void __wrap_free(void *block)
{
    if (!block)
        return;
    struct header *header = (struct header *)block - 1;
    if (header->magic != MAGIC)
        fail("free() of what is no block, or no longer");
    allocated.blocks--;
    allocated.bytes -= header->size;
    memset(block, RUBBISH_OLD, header->size < RUBBISH_MAX ? header->size : 0);
    header->magic = 0;
    __real_free(header);
}

void *__wrap_realloc(void *block, size_t size)
{
    void *moved = __wrap_malloc(size);

    if (moved && block) {
        size_t old = ((struct header *)block - 1)->size;

        memcpy(moved, block, old < size ? old : size);
        __wrap_free(block);
    }
    return moved;
}
