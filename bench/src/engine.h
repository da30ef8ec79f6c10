// SPDX-License-Identifier: MIT
// engine: the loop of a run, and what wakes it besides sockets: an alarm, a tick, and the user.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "system/loop.h"

enum { ENGINE_TICK_NANOSECONDS = 250000000 };

struct engine {
    struct loop loop;
    struct watch signals, alarm, ticker;
    bool rang;           // the alarm's time has come, in the last turn
    bool ticked;         // another quarter of a second is over, in the last turn
    unsigned interrupts; // how often the user has asked for the end
};

// 0, or -1 with errno. engine_finish frees what was taken either way.
int engine_init(struct engine *engine);
void engine_finish(struct engine *engine);

// SIGINT and SIGTERM are counted from now on; before, they end the process. 0, or -1 with
// errno.
int engine_take_signals(struct engine *engine);

// Waits for something to happen, and handles it.
void engine_turn(struct engine *engine);

// The same until nanosecond UNTIL.
void engine_wait(struct engine *engine, uint64_t until);

// Sets the alarm to AT; UINT64_MAX: never. After it rang it must be set anew.
void engine_set_alarm(struct engine *engine, uint64_t at);
