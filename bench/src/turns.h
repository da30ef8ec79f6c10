// SPDX-License-Identifier: MIT
// turns: when the parts of a measurement begin which somebody else begins: each by a line on
// standard input, until that ends. On standard output, before each, a line tells that all is ready
// for it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

struct turns {
    struct engine *engine;
    struct watch input;
    unsigned begun; // lines that have come
    unsigned done;  // of these
    bool ended;     // no more will come
};

// 0, or -1 with errno: EPERM where standard input is a file.
int turns_init(struct turns *turns, struct engine *engine);
void turns_finish(struct turns *turns);

// Says that all is ready, and how many MESSAGES were answered so far, and waits for the next turn
// to begin. False: there is none, for standard input has ended, or the user has asked for the end.
bool turns_next(struct turns *turns, uint64_t messages);
