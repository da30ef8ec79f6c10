// SPDX-License-Identifier: MIT
// cost: what a process has cost so far, as /proc tells it: proc_pid_status(5), proc_pid_smaps(5).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Sums over all threads of a process.
struct cost {
    uint64_t cpu;       // nanoseconds, those of threads that have ended included
    uint64_t switches;  // context switches of the threads that still run
    uint64_t voluntary; // those of them that were waits, each of which ends with a wakeup
};

struct memory {
    int64_t rss, pss; // bytes
};

// False with errno if PID cannot be looked at.
bool cost_read(pid_t pid, struct cost *cost);
bool cost_memory(pid_t pid, struct memory *memory);

// The energy that the machine has used since some moment: powercap, all packages. False where that
// cannot be read.
bool cost_energy(uint64_t *microjoules);

// What all programs took on all cores since the machine was started, and what its host took away,
// in nanoseconds. False where that cannot be read.
bool cost_machine(uint64_t *busy, uint64_t *stolen);
