// SPDX-License-Identifier: MIT
// fault: which calls fail in this universe, how often, and with what.
#pragma once

#include <stdbool.h>

enum call {
    CALL_ACCEPT4,
    CALL_BIND,
    CALL_EPOLL_ADD,
    CALL_EPOLL_CREATE1,
    CALL_EPOLL_MOD,
    CALL_EPOLL_WAIT,
    CALL_FSTAT,
    CALL_GETPEERNAME,
    CALL_GETRANDOM,
    CALL_GETRLIMIT,
    CALL_GETSOCKNAME,
    CALL_GETSOCKOPT,
    CALL_IOCTL,
    CALL_LISTEN,
    CALL_MEMORY,
    CALL_OPEN,
    CALL_POLL,
    CALL_READ,
    CALL_READ_FILE,
    CALL_READ_TIMER,
    CALL_RECV,
    CALL_RECVMMSG,
    CALL_SEND,
    CALL_SENDMMSG,
    CALL_SETRLIMIT,
    CALL_SETSOCKOPT,
    CALL_SHUTDOWN,
    CALL_SIGNALFD,
    CALL_SOCKET,
    CALL_TIMERFD_CREATE,
    CALL_TIMERFD_SETTIME,
    CALL_WRITE,
    CALL_COUNT,
};

struct flow;

// Chooses this universe's faults.
void fault_begin(void);

// No more of them.
void fault_stop(void);

// The errno that CALL fails with this time, or 0. One that is no passing trouble (EINTR, EAGAIN)
// excuses FLOW, unless that is NULL, for what becomes of it.
int fault_error(enum call call, struct flow *flow);

// Whether this allocation fails; that excuses the connection that the daemon was last busy with.
bool fault_memory(void);
void fault_busy_with(struct flow *flow);

// Whether this call does less than it was asked for.
bool fault_short(void);

// Whether epoll reports something that is not so.
bool fault_spurious(void);

// Faults injected in this turn, and in all.
unsigned fault_in_turn(void);
unsigned fault_count(void);
void fault_new_turn(void);
