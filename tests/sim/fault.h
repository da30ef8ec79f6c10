// SPDX-License-Identifier: MIT
// fault: which calls fail in this universe, how often, and with what.
#pragma once

#include <errno.h>
#include <stdbool.h>

// What the man pages list, as far as the kernel of the simulation does not say it by itself, and
// what was seen beside: EPERM and ENOBUFS of a firewall, ECONNABORTED of `ss -K`.
#define CALLS(ROW)                                                                                 \
    ROW(ACCEPT4, EINTR, ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET,     \
        EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, EMFILE, ENFILE, ENOBUFS, ENOMEM)         \
    ROW(ARRIVAL, EMFILE)                                                                           \
    ROW(BIND, EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM, EINVAL)                                   \
    ROW(EPOLL_ADD, ENOMEM, ENOSPC)                                                                 \
    ROW(EPOLL_CREATE1, EMFILE, ENFILE, ENOMEM)                                                     \
    ROW(EPOLL_MOD, ENOMEM)                                                                         \
    ROW(EPOLL_WAIT, EINTR)                                                                         \
    ROW(FLIGHT, ETOOMANYREFS, ENOBUFS, EAGAIN)                                                     \
    ROW(FSTAT, ENOMEM, EOVERFLOW)                                                                  \
    ROW(GETPEERNAME, ENOBUFS, ENOTCONN)                                                            \
    ROW(GETRANDOM, ENOSYS, EINTR)                                                                  \
    ROW(GETRLIMIT, EPERM)                                                                          \
    ROW(GETSOCKNAME, ENOBUFS)                                                                      \
    ROW(GETSOCKOPT, ENOPROTOOPT, EINVAL)                                                           \
    ROW(LISTEN, EADDRINUSE, EOPNOTSUPP)                                                            \
    ROW(MEMORY, ENOMEM)                                                                            \
    ROW(OPEN, EINTR, EMFILE, ENFILE, ENOMEM, EACCES, ELOOP)                                        \
    ROW(READ, EINTR, EIO)                                                                          \
    ROW(READ_FILE, EINTR, EIO, EISDIR)                                                             \
    ROW(READ_TIMER, EINTR, EAGAIN)                                                                 \
    ROW(RECV, EINTR, ECONNRESET, ECONNABORTED, ETIMEDOUT, ENOMEM, EHOSTUNREACH, ENOBUFS)           \
    ROW(RECVMMSG, EINTR, ENOMEM, ECONNREFUSED, ENETDOWN, EAGAIN, EPERM, EIO, ENOSYS)               \
    ROW(SEND, EINTR, EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EPERM, EHOSTUNREACH, ETIMEDOUT)   \
    ROW(SENDMMSG, EINTR, EAGAIN, ENOBUFS, ENOMEM, EPERM, EACCES, ENETUNREACH, EHOSTUNREACH,        \
        ENETDOWN, EMSGSIZE, EINVAL, ECONNREFUSED, EADDRNOTAVAIL, EIO, ENOSYS)                      \
    ROW(SETRLIMIT, EPERM)                                                                          \
    ROW(SETSOCKOPT, ENOMEM, ENOPROTOOPT, EINVAL, EPERM)                                            \
    ROW(SHUTDOWN, ENOTCONN, ENOBUFS)                                                               \
    ROW(SIGNALFD, EMFILE, ENFILE, ENOMEM)                                                          \
    ROW(SOCKET, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, EPERM)                                      \
    ROW(STORE, ETIMEDOUT, ENOTSUP)                                                                 \
    ROW(TIMERFD_CREATE, EMFILE, ENFILE, ENOMEM)                                                    \
    ROW(TIMERFD_SETTIME, EINVAL)                                                                   \
    ROW(WRITE, EINTR, EAGAIN, EIO, EPIPE, ENOSPC)

enum call {
#define CALL_OF(name, ...) CALL_##name,
    CALLS(CALL_OF) CALL_COUNT
};

struct flow;

extern struct faults {
    unsigned in_turn, count;
    struct flow *busy_with; // the connection that the daemon was last busy with
} faults;

// Chooses this universe's faults.
void fault_begin(void);

// The errno that CALL fails with this time, or 0. One that is no passing trouble (EINTR, EAGAIN)
// excuses FLOW, unless that is NULL, for what becomes of it.
int fault_error(enum call call, struct flow *flow);

// Whether this call does less than it was asked for.
bool fault_short(void);

// Whether epoll reports something that is not so.
bool fault_spurious(void);
