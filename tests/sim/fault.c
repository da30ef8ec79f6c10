// SPDX-License-Identifier: MIT
#include "fault.h"

#include <errno.h>
#include <string.h>

#include "flow.h"
#include "world.h"

enum { ERRORS_MAX = 16 };

// What the man pages list, as far as the kernel of the simulation does not say it by itself, and
// what was seen beside: EPERM and ENOBUFS of a firewall, ECONNABORTED of `ss -K`.
static const struct {
    enum call call;
    int error[ERRORS_MAX];
} rows[] = {
    {CALL_ACCEPT4,
     {EINTR, ECONNABORTED, EPERM, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
      EOPNOTSUPP, ENETUNREACH, ETIMEDOUT, EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {CALL_BIND, {EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM, EINVAL}},
    {CALL_EPOLL_ADD, {ENOMEM, ENOSPC}},
    {CALL_EPOLL_CREATE1, {EMFILE, ENFILE, ENOMEM}},
    {CALL_EPOLL_MOD, {ENOMEM}},
    {CALL_EPOLL_WAIT, {EINTR}},
    {CALL_FSTAT, {ENOMEM, EOVERFLOW}},
    {CALL_GETPEERNAME, {ENOBUFS, ENOTCONN}},
    {CALL_GETRANDOM, {ENOSYS, EINTR}},
    {CALL_GETRLIMIT, {EPERM}},
    {CALL_GETSOCKNAME, {ENOBUFS}},
    {CALL_GETSOCKOPT, {ENOPROTOOPT, EINVAL}},
    {CALL_IOCTL, {EINVAL, ENOTTY}},
    {CALL_LISTEN, {EADDRINUSE, EOPNOTSUPP}},
    {CALL_OPEN, {EINTR, EMFILE, ENFILE, ENOMEM, EACCES, ELOOP}},
    {CALL_POLL, {EINTR, ENOMEM}},
    {CALL_READ, {EINTR, EIO}},
    {CALL_READ_FILE, {EINTR, EIO, EISDIR}},
    {CALL_READ_TIMER, {EINTR, EAGAIN}},
    {CALL_RECV, {EINTR, ECONNRESET, ECONNABORTED, ETIMEDOUT, ENOMEM, EHOSTUNREACH, ENOBUFS}},
    {CALL_RECVMMSG, {EINTR, ENOMEM, ECONNREFUSED, ENETDOWN, EAGAIN, EPERM, EIO, ENOSYS}},
    {CALL_SEND,
     {EINTR, EAGAIN, ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EPERM, EHOSTUNREACH, ETIMEDOUT}},
    {CALL_SENDMMSG,
     {EINTR, EAGAIN, ENOBUFS, ENOMEM, EPERM, EACCES, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EMSGSIZE,
      EINVAL, ECONNREFUSED, EADDRNOTAVAIL, EIO, ENOSYS}},
    {CALL_SETRLIMIT, {EPERM}},
    {CALL_SETSOCKOPT, {ENOMEM, ENOPROTOOPT, EINVAL, EPERM}},
    {CALL_SHUTDOWN, {ENOTCONN, ENOBUFS}},
    {CALL_SIGNALFD, {EMFILE, ENFILE, ENOMEM}},
    {CALL_SOCKET, {EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, EPERM}},
    {CALL_TIMERFD_CREATE, {EMFILE, ENFILE, ENOMEM}},
    {CALL_TIMERFD_SETTIME, {EINVAL}},
    {CALL_WRITE, {EINTR, EAGAIN, EIO, EPIPE, ENOSPC}},
    {CALL_MEMORY, {ENOMEM}},
};

static struct {
    uint64_t one_in[CALL_COUNT]; // 0: never
    uint64_t short_one_in, spurious_one_in;
    bool from_start;
    unsigned in_turn, count;
    struct flow *busy_with;
} plan;

static struct chance *chance(void)
{
    return &world.chance;
}

// One of those that are made again and again.
static enum call choose_call(void)
{
    static const enum call call[] = {
        CALL_ACCEPT4, CALL_EPOLL_ADD,  CALL_EPOLL_MOD, CALL_EPOLL_WAIT, CALL_GETPEERNAME,
        CALL_POLL,    CALL_READ_TIMER, CALL_RECV,      CALL_RECVMMSG,   CALL_SEND,
        CALL_SEND,    CALL_SENDMMSG,   CALL_ACCEPT4,   CALL_SHUTDOWN,   CALL_WRITE,
    };

    return call[chance_between(chance(), 0, sizeof call / sizeof call[0] - 1)];
}

static void choose_rates(void)
{
    uint64_t kind = chance_between(chance(), 0, 9);

    if (kind < 3)
        return;
    if (kind < 6) {
        enum call call = plan.from_start ? (enum call)chance_between(chance(), 0, CALL_COUNT - 1)
                                         : choose_call();

        plan.one_in[call] = chance_between(chance(), 2, 30);
        if (call == CALL_RECVMMSG && chance_one_in(chance(), 2))
            plan.one_in[call] = 1; // what seccomp forbids fails every time
    } else if (kind < 7) {
        plan.one_in[CALL_MEMORY] = chance_between(chance(), 1, 60);
    } else {
        uint64_t one_in = chance_between(chance(), 30, 2000);

        for (int call = 0; call < CALL_COUNT; call++)
            plan.one_in[call] = one_in;
        // The server ends with it: rare, or nothing else would ever be seen.
        plan.one_in[CALL_TIMERFD_SETTIME] *= 50;
    }
}

void fault_begin(void)
{
    memset(&plan, 0, sizeof plan);
    plan.from_start = chance_one_in(chance(), 5);
    choose_rates();
    if (chance_one_in(chance(), 2))
        plan.short_one_in = chance_between(chance(), 1, 40);
    if (chance_one_in(chance(), 3))
        plan.spurious_one_in = chance_between(chance(), 2, 50);
}

void fault_stop(void)
{
    memset(&plan, 0, sizeof plan);
}

static bool injects(uint64_t one_in)
{
    if (one_in == 0 || (!world.started && !plan.from_start) || world.hush ||
        !chance_one_in(chance(), one_in))
        return false;
    plan.in_turn++;
    plan.count++;
    return true;
}

static int choose_error(enum call call)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t count = 0;

        if (rows[i].call != call)
            continue;
        while (count < ERRORS_MAX && rows[i].error[count] != 0)
            count++;
        return rows[i].error[chance_between(chance(), 0, count - 1)];
    }
    fail("the simulation has no errors for call %d", (int)call);
}

int fault_error(enum call call, struct flow *flow)
{
    if (!injects(plan.one_in[call]))
        return 0;
    int error = choose_error(call);
    if (flow && error != EINTR && error != EAGAIN)
        flow->excused = true;
    trace("  fault: %s", strerrorname_np(error));
    return error;
}

bool fault_memory(void)
{
    return fault_error(CALL_MEMORY, plan.busy_with) != 0;
}

void fault_busy_with(struct flow *flow)
{
    plan.busy_with = flow;
}

bool fault_short(void)
{
    return injects(plan.short_one_in);
}

bool fault_spurious(void)
{
    return world.started && injects(plan.spurious_one_in);
}

unsigned fault_in_turn(void)
{
    return plan.in_turn;
}

unsigned fault_count(void)
{
    return plan.count;
}

void fault_new_turn(void)
{
    plan.in_turn = 0;
    plan.busy_with = NULL;
}
