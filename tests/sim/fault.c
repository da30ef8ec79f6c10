// SPDX-License-Identifier: MIT
#include "fault.h"

#include <string.h>

#include "flow.h"
#include "world.h"

enum { ERRORS_MAX = 16 };

static const int errors[CALL_COUNT][ERRORS_MAX] = {
#define ERRORS_OF(name, ...) [CALL_##name] = {__VA_ARGS__},
    CALLS(ERRORS_OF)};

static struct {
    uint64_t one_in[CALL_COUNT]; // 0: never
    uint64_t short_one_in, spurious_one_in;
    bool from_start;
} plan;

struct faults faults;

// One of those that are made again and again.
static enum call choose_call(void)
{
    static const enum call call[] = {
        CALL_ACCEPT4,    CALL_EPOLL_ADD, CALL_EPOLL_MOD, CALL_EPOLL_WAIT, CALL_GETPEERNAME,
        CALL_READ_TIMER, CALL_RECV,      CALL_RECVMMSG,  CALL_SEND,       CALL_FLIGHT,
        CALL_STORE,      CALL_ARRIVAL,   CALL_MEMORY,    CALL_MEMORY,     CALL_SEND,
        CALL_SENDMMSG,   CALL_ACCEPT4,   CALL_SHUTDOWN,  CALL_WRITE,
    };

    return call[between(0, ARRAY_LENGTH(call) - 1)];
}

static void choose_rates(void)
{
    uint64_t kind = between(0, 9);

    if (kind < 3)
        return;
    if (kind < 6) {
        enum call call = plan.from_start ? (enum call)between(0, CALL_COUNT - 1) : choose_call();

        plan.one_in[call] = between(2, 30);
        if (call == CALL_RECVMMSG && one_in(2))
            plan.one_in[call] = 1; // what seccomp forbids fails every time
    } else if (kind < 7) {
        plan.one_in[CALL_MEMORY] = between(1, 60);
    } else {
        uint64_t rate = between(30, 2000);

        for (int call = 0; call < CALL_COUNT; call++)
            plan.one_in[call] = rate;
        // The server ends with it: rare, or nothing else would ever be seen.
        plan.one_in[CALL_TIMERFD_SETTIME] *= 50;
    }
}

void fault_begin(void)
{
    memset(&plan, 0, sizeof plan);
    faults = (struct faults){.count = 0};
    plan.from_start = one_in(5);
    choose_rates();
    if (one_in(2))
        plan.short_one_in = between(1, 40);
    if (one_in(3))
        plan.spurious_one_in = between(2, 50);
}

static bool injects(uint64_t rate)
{
    if (rate == 0 || (!world.started && !plan.from_start) || world.hush || !one_in(rate))
        return false;
    faults.in_turn++;
    faults.count++;
    return true;
}

int fault_error(enum call call, struct flow *flow)
{
    // One process has left everything, and the next one would be started again until it goes on.
    bool passed_over = world.succession && call != CALL_ARRIVAL;

    if (passed_over || !injects(plan.one_in[call]))
        return 0;
    uint64_t count = 1;
    while (count < ERRORS_MAX && errors[call][count] != 0)
        count++;
    int error = errors[call][between(0, count - 1)];
    if (flow && error != EINTR && error != EAGAIN)
        flow->excused = true;
    trace("  fault: %s", strerrorname_np(error));
    return error;
}

bool fault_short(void)
{
    return injects(plan.short_one_in);
}

bool fault_spurious(void)
{
    return world.started && injects(plan.spurious_one_in);
}
