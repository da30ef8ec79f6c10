// SPDX-License-Identifier: MIT
// process: what this process takes up, asked of the kernel: proc(5), clock_gettime(2).
#pragma once

#include <stdint.h>

#include "core/facts.h"

// What answers for as long as the process runs, also where nothing can be opened any more.
struct process {
    int statm, descriptors; // of /proc/self; -1: it is not known here
    uint64_t max_descriptors;
    uint64_t start_milliseconds;
};

// To be called at the start. What cannot be opened is not known: no error. process_close closes it.
// GIVEN: what statm and descriptors were before this process has become another program, or -1;
// what is taken of it is made -1.
void process_open(struct process *process, uint64_t max_descriptors, int given[2]);
void process_close(struct process *process);

// A few system calls, however many descriptors there are.
struct usage process_usage(const struct process *process);
