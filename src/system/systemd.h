// SPDX-License-Identifier: MIT
// systemd: what systemd hands to a service and wants to hear from it, spoken as sd_listen_fds(3),
// sd_notify(3) and systemd.io/JOURNAL_NATIVE_PROTOCOL document it, without libsystemd.
//
// Compiled by `make ENABLE_SYSTEMD=1`. In any other build these functions do nothing: the server
// was handed no sockets, and there is nobody to tell.
#ifndef SYSTEMD_H
#define SYSTEMD_H

#include <stdbool.h>

#include "core/answer.h"
#include "core/timeouts.h"
#include "system/loop.h"

// So many STATUS= messages may follow each other at once, and then one a second.
enum { STATUS_BURST = 8 };

struct systemd {
    int passed;       // sockets that were handed over, as descriptors from 3 on
    int taken;        // of these, by systemd_take
    char *names;      // of the passed sockets, with colons in between; or NULL
    char *names_left; // those of the sockets not yet taken
    int notify;       // a socket connected to NOTIFY_SOCKET, or -1
    bool stopping;    // has been told, and nothing about READY may follow
    ticks beat;       // half of the watchdog's time; 0: there is no watchdog
    ticks beat_due;   // or TICKS_NEVER
    ticks status_due; // when STATUS= would be due, if there were no burst
    struct counters told;
};

#ifdef ENABLE_SYSTEMD

// Reads the environment, and has the log go to the journal if standard error does. To be called
// before any descriptor is opened: the environment may name one that is not open. False if it
// contradicts itself; the log says how. systemd_finish undoes it either way.
bool systemd_init(struct systemd *systemd);
void systemd_finish(struct systemd *systemd);

// Whether sockets were handed over, be they of use or not.
bool systemd_activated(const struct systemd *systemd);

// The next of them that can be served, listening for TCP or bound for UDP: it is the caller's from
// now on. Others are closed, and the log says why. -1: there are no more.
int systemd_take(struct systemd *systemd, enum protocol *protocol);

// The server serves, after its start or after reading its files again.
void systemd_ready(struct systemd *systemd, const struct counters *counters);
void systemd_reloading(struct systemd *systemd);
void systemd_stopping(struct systemd *systemd);

// To be called in every turn of LOOP: tells the watchdog that it turns, if that is due, and the
// three statistics, if they have changed and STATUS_BURST allows it; else a later turn does.
void systemd_turn(struct systemd *systemd, struct loop *loop, const struct counters *counters);

// When the loop has to turn for the watchdog, or TICKS_NEVER.
ticks systemd_next(const struct systemd *systemd);

#else

static inline bool systemd_init(struct systemd *systemd)
{
    (void)systemd;
    return true;
}

static inline void systemd_finish(struct systemd *systemd)
{
    (void)systemd;
}

static inline bool systemd_activated(const struct systemd *systemd)
{
    (void)systemd;
    return false;
}

static inline int systemd_take(struct systemd *systemd, enum protocol *protocol)
{
    (void)systemd, (void)protocol;
    return -1;
}

static inline void systemd_ready(struct systemd *systemd, const struct counters *counters)
{
    (void)systemd, (void)counters;
}

static inline void systemd_reloading(struct systemd *systemd)
{
    (void)systemd;
}

static inline void systemd_stopping(struct systemd *systemd)
{
    (void)systemd;
}

static inline void systemd_turn(struct systemd *systemd, struct loop *loop,
                                const struct counters *counters)
{
    (void)systemd, (void)loop, (void)counters;
}

static inline ticks systemd_next(const struct systemd *systemd)
{
    (void)systemd;
    return TICKS_NEVER;
}

#endif

#endif
