// SPDX-License-Identifier: MIT
// header: the PROXY headers that clients begin with, right and wrong, and how each has to be taken.
// It is told when they are made, not found out by reading them.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"

enum { HEADER_SECONDS = 5, HEADER_MAX = 4096 };

struct header {
    char bytes[HEADER_MAX];
    size_t length;
    size_t wrong_at; // so many bytes of it show that it is wrong; 0: it is right
    bool announced;  // else the real addresses hold
    struct address source, destination;
    char told[64]; // what it adds to /whoami beside addresses
};

// Of this universe's chance; its memory is memory_own's.
struct header *header_create(void);
