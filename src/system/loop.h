// SPDX-License-Identifier: MIT
// loop: epoll(7) with objects.
//
// A watch is a member of the object that it serves, and epoll's data.ptr points at it: an event
// finds its object without a table. Removing a watch also takes back its events that still wait
// in the current batch, so the object may be freed at once, by whichever handler.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/timeouts.h"

struct watch {
    // Called with what epoll reports, EPOLLERR and EPOLLHUP included whether asked for or not.
    // Level-triggered: a handler that neither reads nor writes is called again at once.
    void (*ready)(struct watch *watch, uint32_t events);
    int fd;
    uint16_t events; // what epoll has been asked for: EPOLLIN, EPOLLOUT
    bool edge : 1;   // edge-triggered
    bool more : 1;   // see loop_change
    bool later : 1;  // see loop_spent
    uint8_t calm : 4;
    // The served object's own, in what would be padding.
    uint8_t state : 4;
    uint8_t note : 4;
};

enum {
    LOOP_BATCH_MAX = 64,
    LOOP_LONG_BYTES = 16384, // in and out: who takes a turn of so many comes after others
    LOOP_TURN_BYTES =
        1 << 20,          // then the rest of those who come after others waits for another look
    LOOP_CALM_TURNS = 15, // shorter turns in a row that end it
};

struct loop {
    int epoll;
    int at, ready;        // the batch's events before `at` have been handled
    uint64_t turns;       // so far: returns of epoll_wait(2)
    uint64_t spent;       // bytes in this turn
    uint64_t start, now;  // nanoseconds, monotonic; now is 0: not asked for in this turn
    struct watch timer;   // one timerfd for every deadline
    struct watch *urgent; // or NULL: see loop_urgent
    void (*expired)(struct loop *loop);
    uint64_t armed; // when the timer goes off, in nanoseconds since the start; or LOOP_NEVER
    struct epoll_event batch[LOOP_BATCH_MAX];
};

// Those that return an int return 0, or -1 with errno as the system call left it: epoll_create1(2),
// timerfd_create(2), epoll_ctl(2), epoll_wait(2), timerfd_settime(2).

// EXPIRED is called when the time that loop_arm set has come.
int loop_init(struct loop *loop, void (*expired)(struct loop *loop));
void loop_finish(struct loop *loop);

// Has the loop go on from START, the start of another one of this machine, in nanoseconds of
// CLOCK_MONOTONIC: to be called before anything counts from the loop's own. False: there cannot
// have been such a loop.
bool loop_continue(struct loop *loop, uint64_t start);

// WATCH->fd and WATCH->ready are set. EVENTS with EPOLLET: the watch is edge-triggered from now on.
int loop_add(struct loop *loop, struct watch *watch, uint32_t events);

// Waits for EVENTS from now on; no system call if that is so already. To be called after each turn:
// what a turn of an edge-triggered watch left over is reported like a level-triggered one's, for
// the kernel looks at the descriptor anew at an EPOLL_CTL_MOD, which is done in any case while
// watch->more. That is set with each event but a plain EPOLLIN; the handler of one sets it if it
// has not taken all there was, as a short read has (epoll(7)).
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);

// A turn of WATCH has moved so many BYTES, in and out. One of LOOP_LONG_BYTES makes the watch
// `later`: it comes after all others that are ready, and within LOOP_TURN_BYTES, so that nobody
// waits for many like it. It stays so for LOOP_CALM_TURNS, for else one long turn in two would be
// free.
void loop_spent(struct loop *loop, struct watch *watch, uint64_t bytes);

// WATCH, which is in the loop, and the timer are looked at in every turn that others fill: in the
// kernel's list they stand behind all that is ready, thousands perhaps.
void loop_urgent(struct loop *loop, struct watch *watch);

// To be called before close(2): a duplicate of the descriptor elsewhere would keep events coming.
void loop_remove(struct loop *loop, struct watch *watch);

// Calls the handlers of those that are ready, as many as a batch holds. If WAIT, waits until there
// is one.
int loop_turn(struct loop *loop, bool wait);

// Has `expired` called at tick DUE, unless it will be called before anyway.
int loop_arm(struct loop *loop, ticks due);

// The same for nanosecond AT since loop_init; LOOP_NEVER is never.
#define LOOP_NEVER UINT64_MAX
int loop_arm_at(struct loop *loop, uint64_t at);

// The time of this turn as loop_now has it, and the time that it is, both in nanoseconds since
// loop_init.
uint64_t loop_nanoseconds(struct loop *loop);
uint64_t loop_clock(const struct loop *loop);

// The time of this turn, read once a turn and only if somebody asks: ticks since loop_init, rounded
// down, and 1 at the least.
ticks loop_now(struct loop *loop);
