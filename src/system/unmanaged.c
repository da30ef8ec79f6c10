// SPDX-License-Identifier: MIT
// unmanaged: journal, notify and passed for a build without ENABLE_SYSTEMD=1, in which no sockets
// are handed over and nobody is to be told anything.
#include "system/journal.h"
#include "system/notify.h"
#include "system/passed.h"

void journal_open(void)
{
}

void journal_close(void)
{
}

void notify_open(struct notify *notify)
{
    *notify = (struct notify){.fd = -1};
}

void notify_close(struct notify *notify)
{
    (void)notify;
}

void notify_turn(struct notify *notify, struct loop *loop, const struct counters *counters,
                 unsigned notices)
{
    (void)notify, (void)loop, (void)counters, (void)notices;
}

bool notify_has_store(const struct notify *notify)
{
    (void)notify;
    return false;
}

bool notify_store(struct notify *notify, int far, int near)
{
    (void)notify, (void)far, (void)near;
    return false;
}

ticks notify_next(const struct notify *notify)
{
    (void)notify;
    return TICKS_NEVER;
}

const char *passed_open(struct passed *passed)
{
    *passed = (struct passed){.flight = -1};
    return NULL;
}

void passed_close(struct passed *passed)
{
    (void)passed;
}

int passed_take(struct passed *passed, enum protocol *protocol, const char **name)
{
    (void)passed, (void)protocol, (void)name;
    return -1;
}

void passed_refuse(int fd, const char *name, const char *reason)
{
    (void)fd, (void)name, (void)reason;
}
