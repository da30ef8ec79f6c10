// SPDX-License-Identifier: MIT
// successor: the daemon's end and its start anew, with all that it had in flight between them. What
// a flight does is tested elsewhere: here it is a list.
#pragma once

#include <stdbool.h>

void successor_begin(void);

// Whether the process before has left everything.
bool successor_waits(void);

// A flight that was begun is not stored: what it had is as before, and the daemon ends.
void successor_dropped(void);

// The process that goes on has taken what it wanted: whoever is left has nobody any more.
void successor_settled(void);
