// SPDX-License-Identifier: MIT
#include "system/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/text.h"

enum { MICROSECONDS_PER_TICK = TICK_MILLISECONDS * 1000 };

static int connect_notify(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; // unix(7): an abstract address
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

// Half of the time after which the watchdog takes this process for dead, in whole ticks.
static ticks read_watchdog(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *time = getenv("WATCHDOG_USEC");
    char own[LOG_VALUE_MAX];

    log_value(&LOG_NUMBER(NULL, getpid()), own);
    if (!time || (pid && strcmp(pid, own) != 0))
        return 0;
    unsigned long long microseconds = strtoull(time, NULL, 10);
    unsigned long long half = microseconds / 2 / MICROSECONDS_PER_TICK;
    if (microseconds > 0 && half == 0)
        return 1;
    return half < TICKS_NEVER / 2 ? (ticks)half : 0;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1, .beat_due = TICKS_NEVER};
    if (!path || !*path)
        return;
    notify->fd = connect_notify(path);
    if (notify->fd < 0) {
        log_event(LOG_WARNING, "cannot notify the service manager", LOG_TEXT("socket", path),
                  LOG_TEXT("error", strerror(errno)));
        return;
    }
    notify->beat = read_watchdog();
    if (notify->beat > 0)
        notify->beat_due = 1; // long ago: the first turn is due at once
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
}

static bool tell(const struct notify *notify, struct text *message, int flags)
{
    return send(notify->fd, message->bytes, message->length, flags | MSG_NOSIGNAL) >= 0;
}

// Waits where the manager is behind, for nothing makes good for one of these that is lost.
static void tell_state(const struct notify *notify, struct text *message)
{
    if (notify->fd >= 0 && !tell(notify, message, 0))
        log_event(LOG_WARNING, "cannot notify the service manager",
                  LOG_TEXT("error", strerror(errno)));
}

static void put_status(struct text *message, const struct counters *counters)
{
    text_format(message, "STATUS=total_clients=%llu active_udp_peers=%u connected_tcp=%u\n",
                (unsigned long long)counters->total_clients, counters->active_udp_peers,
                counters->connected_tcp);
}

void notify_ready(struct notify *notify, const struct counters *counters)
{
    char room[256];
    struct text message = text_in(room, sizeof room);

    text_string(&message, "READY=1\n");
    put_status(&message, counters);
    tell_state(notify, &message);
    notify->told = *counters;
}

void notify_reloading(struct notify *notify)
{
    char room[64];
    struct text message = text_in(room, sizeof room);
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    text_format(&message, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    tell_state(notify, &message);
}

void notify_stopping(struct notify *notify)
{
    char room[16];
    struct text message = text_in(room, sizeof room);

    text_string(&message, "STOPPING=1\n");
    tell_state(notify, &message);
}

static void beat(struct notify *notify, ticks now)
{
    char room[16];
    struct text message = text_in(room, sizeof room);

    text_string(&message, "WATCHDOG=1\n");
    // A manager so far behind that it cannot take this is asked again at the next tick.
    notify->beat_due = now + (tell(notify, &message, MSG_DONTWAIT) ? notify->beat : 1);
}

static bool status_changed(const struct counters *a, const struct counters *b)
{
    return a->total_clients != b->total_clients || a->active_udp_peers != b->active_udp_peers ||
           a->connected_tcp != b->connected_tcp;
}

static void tell_status(struct notify *notify, const struct counters *counters, ticks now)
{
    char room[256];
    struct text message = text_in(room, sizeof room);

    if (notify->status_due >= now + STATUS_BURST * TICKS_PER_SECOND)
        return;
    put_status(&message, counters);
    if (!tell(notify, &message, MSG_DONTWAIT))
        return;
    notify->status_due = (notify->status_due > now ? notify->status_due : now) + TICKS_PER_SECOND;
    notify->told = *counters;
}

void notify_turn(struct notify *notify, struct loop *loop, const struct counters *counters)
{
    if (notify->beat > 0 && loop_now(loop) >= notify->beat_due)
        beat(notify, loop_now(loop));
    if (notify->fd >= 0 && status_changed(&notify->told, counters))
        tell_status(notify, counters, loop_now(loop));
}

ticks notify_next(const struct notify *notify)
{
    return notify->beat_due;
}
