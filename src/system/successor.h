// SPDX-License-Identifier: MIT
// successor: the program that goes on in the place of this one: execve(2) of the file that it was
// started from, or of what stands there now, with the same arguments, environment and number.
//
// What it is given is at the end of a flight that its environment names. Before the process becomes
// it, a child tries whether it can go on: it starts, takes everything over as it would, and ends.
#pragma once

#include <limits.h>
#include <stdbool.h>

enum { SUCCESSOR_TRIAL_SECONDS = 10 }; // the kernel ends a trial that takes longer: alarm(2)

struct successor {
    char *const *arguments; // main's argv
    char path[PATH_MAX];    // empty: it is not known
};

// To be called at the start, with what main was given, which has to last.
void successor_init(struct successor *successor, char *argv[]);

// What this process was given: where its flight ends, or -1; and in *TRIAL where to say that it can
// go on if it is such a child, else -1. To be called once: it is told in the environment, and taken
// out of it.
int successor_given(int *trial);

// Has a child try, with the FLIGHT's end. Returns a descriptor from which one byte can be read if
// it can go on, and the end, without a byte, if it cannot. -1 with errno.
int successor_try(const struct successor *successor, int flight);

// Says by TRIAL that this child can go on.
void successor_can(int trial);

// Becomes the successor. Comes back only if that fails, with errno.
void successor_become(const struct successor *successor, int flight);
