// SPDX-License-Identifier: MIT
// calls: the daemon's system calls, which the linker brings here (-Wl,--wrap). Those of malloc(3)
// are in memory.c.
#pragma once

#define CALLS_TOKEN_PATH "/simulated/shutdown-token"

void calls_begin(void);

// What every call begins with: time passes, and others act.
void enter(void);

// RESULT, or -errno, as a system call returns it; FD is for the trace.
long leave(const char *call, int fd, long result);

// Of the socket that the daemon calls FD.
struct netsock *socket_of(int fd);
