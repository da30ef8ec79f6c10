// SPDX-License-Identifier: MIT
#include "system/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/number.h"
#include "ground/log.h"
#include "ground/util.h"

enum { STORE_TRIES = 200, STORE_WAIT_MILLISECONDS = 10, BARRIER_MILLISECONDS = 5000 };
enum { MICROSECONDS_PER_TICK = TICK_MILLISECONDS * 1000 };

static void failed(const char *error)
{
    log_event(LOG_WARNING, "cannot notify the service manager",
              LOG_TEXT("socket", getenv("NOTIFY_SOCKET")), LOG_TEXT("error", error));
}

// unix(7): a path, or an abstract address, which begins with '@' here.
static bool find_manager(struct notify *notify, const char *path)
{
    size_t length = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || length >= sizeof notify->manager.sun_path)
        return false;
    notify->manager.sun_family = AF_UNIX;
    memcpy(notify->manager.sun_path, path, length);
    if (path[0] == '@')
        notify->manager.sun_path[0] = '\0';
    notify->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

// Half of the time after which the watchdog takes this process for dead, in whole ticks.
static ticks read_watchdog(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *time = getenv("WATCHDOG_USEC");
    uint64_t number, microseconds;

    if (pid && (!number_of(pid, INT_MAX, &number) || (pid_t)number != getpid()))
        return 0;
    if (!time || !number_of(time, NUMBER_MAXIMUM, &microseconds))
        return 0;
    uint64_t half = microseconds / 2 / MICROSECONDS_PER_TICK;
    if (microseconds > 0 && half == 0)
        return 1;
    return half < TICKS_NEVER / 2 ? (ticks)half : 0;
}

void notify_open(struct notify *notify)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){
        .fd = -1, .barrier = {-1, -1}, .wait = -1, .retry = TICKS_NEVER, .beat_due = TICKS_NEVER};
    if (!path || !*path)
        return;
    if (!find_manager(notify, path)) {
        failed("neither a path nor an abstract address");
        return;
    }
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (notify->fd < 0) {
        failed(strerror(errno));
        return;
    }
    notify->beat = read_watchdog();
    notify->wait = epoll_create1(EPOLL_CLOEXEC);
    if (notify->wait < 0 || pipe2(notify->barrier, O_CLOEXEC) < 0)
        failed(strerror(errno));
}

void notify_close(struct notify *notify)
{
    int fds[] = {notify->fd, notify->barrier[0], notify->barrier[1], notify->wait};

    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

// Not by connect(2): a manager that binds its socket anew at the same path is found that way.
__attribute__((format(printf, 2, 3))) static bool tell(const struct notify *notify,
                                                       const char *format, ...)
{
    char message[256];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return sendto(notify->fd, message, (size_t)length, MSG_NOSIGNAL,
                  (const struct sockaddr *)&notify->manager, notify->length) >= 0;
}

// Sends TEXT with FD, as soon as the manager takes it. False with errno.
static bool tell_with(const struct notify *notify, const char *text, int fd)
{
    union {
        alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof fd)];
    } control = {.bytes = ""};
    struct sockaddr_un manager = notify->manager;
    struct iovec bytes = {(void *)text, strlen(text)};
    struct mmsghdr message = {.msg_hdr = {.msg_name = &manager,
                                          .msg_namelen = notify->length,
                                          .msg_iov = &bytes,
                                          .msg_iovlen = 1,
                                          .msg_control = &control,
                                          .msg_controllen = sizeof control}};
    struct cmsghdr *at = CMSG_FIRSTHDR(&message.msg_hdr);
    struct epoll_event none;

    at->cmsg_level = SOL_SOCKET;
    at->cmsg_type = SCM_RIGHTS;
    at->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(at), &fd, sizeof fd);
    for (int tries = 0; tries < STORE_TRIES; tries++) {
        if (sendmmsg(notify->fd, &message, 1, MSG_NOSIGNAL) == 1)
            return true;
        if (errno != EAGAIN && errno != EINTR)
            return false;
        epoll_wait(notify->wait, &none, 1, STORE_WAIT_MILLISECONDS); // where nothing happens yet
    }
    return false;
}

bool notify_has_store(const struct notify *notify)
{
    return notify->fd >= 0 && notify->wait >= 0 && notify->barrier[0] >= 0;
}

static bool tell_removed(const struct notify *notify)
{
    return tell(notify, "FDSTOREREMOVE=1\nFDNAME=" NOTIFY_STORED "\n");
}

static bool watch(const struct notify *notify, int fd)
{
    struct epoll_event hangup = {.events = 0, .data.fd = fd}; // EPOLLHUP is told unasked

    return epoll_ctl(notify->wait, EPOLL_CTL_ADD, fd, &hangup) == 0;
}

static int wait_for(const struct notify *notify, int milliseconds)
{
    struct epoll_event event;
    int came;

    do // a process that was stopped and goes on
        came = epoll_wait(notify->wait, &event, 1, milliseconds);
    while (came < 0 && errno == EINTR);
    return came;
}

static bool store(struct notify *notify, int far, int near)
{
    struct epoll_event none = {.data.fd = -1};
    // In the store, a hang-up is not to be taken for a reason to let it go: NEAR will be closed.
    bool told = tell_with(notify, "FDSTORE=1\nFDNAME=" NOTIFY_STORED "\nFDPOLL=0\n", far) &&
                tell_with(notify, "BARRIER=1", notify->barrier[1]);
    int error = errno;

    close(far);
    close(notify->barrier[1]);
    notify->barrier[1] = -1;
    errno = error;
    if (!told || !watch(notify, notify->barrier[0]))
        return false;
    int came = wait_for(notify, BARRIER_MILLISECONDS);
    errno = came == 0 ? ETIMEDOUT : errno;
    if (came != 1 || !watch(notify, near))
        return false;
    // The manager has come to the barrier. It has refused if nobody has the far end by now.
    epoll_ctl(notify->wait, EPOLL_CTL_DEL, notify->barrier[0], &none);
    errno = ENOTSUP;
    return wait_for(notify, 0) == 0;
}

bool notify_store(struct notify *notify, int far, int near)
{
    bool stored = store(notify, far, near);
    int error = errno;

    // It may come to it later, and this process goes on with what is in there.
    if (!stored)
        tell_removed(notify);
    errno = error;
    return stored;
}

static bool tell_status(struct notify *notify, const struct counters *counters, const char *before)
{
    bool told = tell(notify, "%sSTATUS=total_clients=%llu active_udp_peers=%u connected_tcp=%u\n",
                     before, (unsigned long long)counters->total_clients,
                     counters->active_udp_peers, counters->connected_tcp);

    if (told)
        notify->told = *counters;
    return told;
}

static bool tell_reloading(const struct notify *notify)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    return tell(notify, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

// False if one of those to be told was not.
static bool tell_notices(struct notify *notify, const struct counters *counters)
{
    if ((notify->notices & NOTICE_RELOADING) && !tell_reloading(notify))
        return false;
    notify->notices &= ~(unsigned)NOTICE_RELOADING;
    if ((notify->notices & NOTICE_READY) && !tell_status(notify, counters, "READY=1\n"))
        return false;
    notify->reached = true;
    if ((notify->notices & NOTICE_READY) && notify->beat > 0)
        notify->beat_due = 1; // long ago: at once
    notify->notices &= ~(unsigned)NOTICE_READY;
    if ((notify->notices & NOTICE_TAKEN) && !tell_removed(notify))
        return false;
    notify->notices &= ~(unsigned)NOTICE_TAKEN;
    if ((notify->notices & NOTICE_STOPPING) && !tell(notify, "STOPPING=1\n"))
        return false;
    notify->notices = 0;
    return true;
}

static void try_notices(struct notify *notify, const struct counters *counters, ticks now)
{
    if (tell_notices(notify, counters)) {
        notify->retry = TICKS_NEVER;
        notify->tries = 0;
        return;
    }
    if (notify->tries > 0 && now < notify->retry)
        return; // an occasion beside the one that is waited for
    // One that was never there is not waited for.
    bool there = (errno == EAGAIN || notify->reached) && notify->tries < NOTIFY_TRIES_MAX;

    if (notify->tries == 0)
        failed(strerror(errno));
    notify->tries++;
    ticks wait = notify->tries < NOTIFY_DOUBLINGS ? 1U << notify->tries : 1U << NOTIFY_DOUBLINGS;
    notify->retry = there ? now + wait : TICKS_NEVER;
}

static bool beat(struct notify *notify, ticks now)
{
    bool told = tell(notify, "WATCHDOG=1\n");

    // A manager so far behind that it cannot take this is asked again at the next tick.
    notify->beat_due = now + (told ? notify->beat : 1);
    return told;
}

static bool status_changed(const struct counters *a, const struct counters *b)
{
    return a->total_clients != b->total_clients || a->active_udp_peers != b->active_udp_peers ||
           a->connected_tcp != b->connected_tcp;
}

// Nothing overtakes a notice: while one waits, it is tried instead.
static void try_status(struct notify *notify, const struct counters *counters, ticks now)
{
    if (notify->status_due >= now + STATUS_BURST * TICKS_PER_SECOND)
        return;
    if (notify->notices)
        try_notices(notify, counters, now);
    else if (!tell_status(notify, counters, ""))
        return;
    notify->status_due = (notify->status_due > now ? notify->status_due : now) + TICKS_PER_SECOND;
}

void notify_turn(struct notify *notify, struct loop *loop, const struct counters *counters,
                 unsigned notices)
{
    if (notify->fd < 0)
        return;
    notify->notices |= notices;
    if (notify->notices && (notices || loop_now(loop) >= notify->retry))
        try_notices(notify, counters, loop_now(loop));
    if (loop_now(loop) >= notify->beat_due && beat(notify, loop_now(loop)) && notify->notices)
        try_notices(notify, counters, loop_now(loop)); // it reads again
    if (status_changed(&notify->told, counters))
        try_status(notify, counters, loop_now(loop));
}

ticks notify_next(const struct notify *notify)
{
    return ticks_sooner(notify->retry, notify->beat_due);
}
