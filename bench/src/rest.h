// SPDX-License-Identifier: MIT
// rest: what is measured before any message goes: idle connections, and the server at rest.
#ifndef REST_H
#define REST_H

#include "bench.h"

// Opens the idle connections, weighs them, and counts the server's wakeups: 0, or -1 with the
// reason on standard error.
int rest_measure(struct bench *bench);

// Closes the idle connections.
void rest_finish(struct bench *bench);

#endif
