// SPDX-License-Identifier: MIT
// notify: tells the service manager how the service is, as sd_notify(3) describes, without
// libsystemd. See journal.h for builds in which these functions do nothing.
#ifndef SYSTEM_NOTIFY_H
#define SYSTEM_NOTIFY_H

#include "core/facts.h"
#include "core/timeouts.h"
#include "system/loop.h"

// So many STATUS= messages may follow each other at once, and then one a second.
enum { STATUS_BURST = 8 };

struct notify {
    int fd;           // a socket connected to NOTIFY_SOCKET, or -1
    ticks beat;       // half of the watchdog's time; 0: there is no watchdog
    ticks beat_due;   // or TICKS_NEVER
    ticks status_due; // when STATUS= would be due, if there were no burst
    struct counters told;
};

// Reads NOTIFY_SOCKET and WATCHDOG_USEC. Where that fails, the log says so, and nobody is told.
void notify_open(struct notify *notify);
void notify_close(struct notify *notify);

// The server serves, after its start or after reading its files again; it reads them; it ends.
void notify_ready(struct notify *notify, const struct counters *counters);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify);

// To be called in every turn of LOOP: tells the watchdog that it turns, if that is due, and the
// three statistics, if they have changed and STATUS_BURST allows it; else a later turn does.
void notify_turn(struct notify *notify, struct loop *loop, const struct counters *counters);

// When the loop has to turn for the watchdog, or TICKS_NEVER.
ticks notify_next(const struct notify *notify);

#endif
