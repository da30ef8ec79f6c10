// SPDX-License-Identifier: MIT
// enter: what every call of the daemon begins and ends with.
#pragma once

// Time passes, and others act.
void enter(void);

// RESULT, or -errno, as a system call returns it; FD is for the trace.
long leave(const char *call, int fd, long result);
