// SPDX-License-Identifier: MIT
// server: everything in one struct: ports, signals, the timer, and the graceful end.
#pragma once

#include <stdbool.h>

#include "core/options.h"
#include "core/service.h"
#include "relay.h"
#include "system/loop.h"
#include "system/notify.h"
#include "system/passed.h"
#include "system/process.h"
#include "system/user.h"
#include "transport/handover.h"
#include "transport/ports.h"

struct server {
    struct options options;
    struct loop loop;
    struct watch signals;
    struct service service;
    struct user user; // whom it runs as once all is open
    struct passed passed;
    struct notify notify;
    struct ports ports;
    struct process process;
    struct handover handover; // what has come from the process before, until it is taken in
    struct relay relay;
    int trial_of;     // this process is that trial, and says so there; else -1
    bool handed_over; // this process has nothing any more
    ticks leave_over; // when --drain-delay is over
    ticks drain_over; // when the time for the graceful end is over
    bool signalled;   // a signal has asked for the end: another one cuts it short
};

// The signals that the server takes from its signalfd, blocked as the first step of a process: one
// that comes before the loop runs then waits for it.
void server_block_signals(void);

// Opens all that is needed, takes over what a process before has left, and says so in the log: 0.
// Or says there what failed: -1, and nothing is left open. ARGUMENTS are main's argv, and have to
// last.
int server_init(struct server *server, const struct options *options, char *arguments[]);
void server_finish(struct server *server);

// Serves until the end: 0 after a graceful one, also if its time or a second signal cut it short,
// else -1 with the reason in the log.
int server_run(struct server *server);
