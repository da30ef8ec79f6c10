// SPDX-License-Identifier: MIT
// notify: tells the service manager how the service is, as sd_notify(3) describes, without
// libsystemd. See journal.h for builds in which these functions do nothing.
//
// Nothing waits for the manager. What it does not take is told later.
#pragma once

#include <sys/un.h>

#include "core/facts.h"
#include "core/timeouts.h"
#include "system/loop.h"

enum {
    // So many STATUS= messages may follow each other at once, and then one a second.
    STATUS_BURST = 8,
    // The manager is asked again after twice the time each, at most 2^NOTIFY_DOUBLINGS ticks, and
    // so often before that is left to when there is something else to tell it.
    NOTIFY_DOUBLINGS = 5,
    NOTIFY_TRIES_MAX = 60,
};

#define NOTIFY_STORED "connections" // the name of what notify_store leaves in the manager's store

// What the manager is to hear once, in this order.
enum notice {
    NOTICE_RELOADING = 1,
    NOTICE_READY = 2,
    NOTICE_TAKEN = 4, // what notify_store has left there before is to be let go
    NOTICE_STOPPING = 8,
};

struct notify {
    int fd; // -1: nobody is to be told
    struct sockaddr_un manager;
    socklen_t length;
    bool reached;     // it has been told READY=1 once
    unsigned notices; // not told yet
    unsigned tries;   // that have failed in a row
    ticks retry;      // when to try again, or TICKS_NEVER
    ticks beat;       // half of the watchdog's time; 0: there is no watchdog
    ticks beat_due;   // or TICKS_NEVER: also until READY=1 has been told
    ticks status_due; // when STATUS= would be due, if there were no burst
    struct counters told;
    int barrier[2]; // a pipe, whose second end the manager closes when it has come to it
    int wait;       // an epoll instance for that
};

// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Where that fails, the log says so, and
// nobody is told.
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

// To be called in every turn of LOOP: tells NOTICES (of enum notice, or 0) and what of them was not
// told before, the watchdog that the loop turns, if that is due, and the three statistics, if they
// have changed and STATUS_BURST allows it; else a later turn does.
void notify_turn(struct notify *notify, struct loop *loop, const struct counters *counters,
                 unsigned notices);

// Whether there is a manager that can be asked to keep a descriptor.
bool notify_has_store(const struct notify *notify);

// Has the manager keep FAR, which is closed here, for the process that it starts next. NEAR is its
// other end, which tells if nobody has FAR any more. Waits for the manager to have done so, some
// seconds at most: false if it has not, with errno.
bool notify_store(struct notify *notify, int far, int near);

// When the loop has to turn for the manager, or TICKS_NEVER.
ticks notify_next(const struct notify *notify);
