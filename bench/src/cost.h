// SPDX-License-Identifier: MIT
// cost: what a process has cost so far, as /proc tells it: proc_pid_status(5), proc_pid_smaps(5).
#ifndef COST_H
#define COST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Sums over all threads of a process and, for a TREE, of its descendants.
struct cost {
    uint64_t cpu;       // nanoseconds, those of threads that have ended included
    uint64_t switches;  // context switches of the threads that still run
    uint64_t voluntary; // those of them that were waits, each of which ends with a wakeup
};

struct memory {
    int64_t rss, pss; // bytes
};

// False with errno if PID cannot be looked at.
bool cost_read(pid_t pid, bool tree, struct cost *cost);
bool cost_cpu(pid_t pid, bool tree, uint64_t *nanoseconds);
bool cost_memory(pid_t pid, bool tree, struct memory *memory);

// The energy that the machine has used since some moment: powercap, all packages. False where that
// cannot be read.
bool cost_energy(uint64_t *microjoules);

#endif
