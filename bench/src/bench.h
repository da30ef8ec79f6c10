// SPDX-License-Identifier: MIT
// bench: a run: connections, phases, the clock that paces them, and the results.
#ifndef BENCH_H
#define BENCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cost.h"
#include "dial.h"
#include "flow.h"
#include "live.h"
#include "results.h"
#include "settings.h"
#include "system/loop.h"

enum { BENCH_INPUT_BYTES = 1 << 16 };

struct datagrams;
struct idle;

struct bench {
    const struct settings *settings;
    const struct traffic *traffic;
    struct target target;
    struct loop loop;
    struct watch signals;
    struct watch pacer;  // a timer: the next planned message, or the end
    struct flow **flows; // settings->connections of them
    unsigned opened;     // of these
    struct idle *idle;   // settings->idle of them
    unsigned idle_opened;
    unsigned alive;     // flows that have not ended
    uint64_t in_flight; // messages of all flows
    uint64_t left;      // messages that may still be begun
    uint64_t started;   // the phase, in nanoseconds
    uint64_t end;       // when the phase stops beginning messages, or UINT64_MAX
    double period;      // nanoseconds from one planned message to the next; 0: closed loop
    uint64_t paced;     // messages whose time has come, of all flows
    uint64_t still;     // since when nothing has gone or come
    uint64_t moved;     // messages begun and answered by then
    bool stopped;       // no further messages in this phase
    bool given_up;      // what is in flight will not be answered
    uint64_t flights_mask;
    char *input, *output; // shared by all flows, used within one turn
    size_t output_length; // whole requests, over and over, unless stamped
    struct datagrams *datagrams;
    struct live live;
    struct results results;
};

// The signals that end a run, blocked as the first step of a process.
void bench_block_signals(void);

// Prepares all but the connections: 0, or -1 with the reason on standard error. bench_finish frees
// what was taken either way.
int bench_init(struct bench *bench, const struct settings *settings);
void bench_finish(struct bench *bench);

// Connects, and runs to the end or until it is interrupted: 0, or -1 with the reason on standard
// error.
int bench_run(struct bench *bench);

// Lets the loop run, with nothing to send, until nanosecond UNTIL: 0, or -1 as above.
int bench_wait(struct bench *bench, uint64_t until);

// Whether the user has asked for the end.
bool bench_interrupted(struct bench *bench);

// Messages carry a stamp to be told apart by.
bool bench_stamped(const struct bench *bench);

#endif
