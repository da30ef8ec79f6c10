// SPDX-License-Identifier: MIT
#include "system/systemd.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/address.h"
#include "ground/log.h"
#include "ground/text.h"
#include "system/net.h"

enum {
    FIRST_PASSED = 3,
    ENTRY_MAX_BYTES = 8192, // of the journal; far below what a datagram may hold
    MESSAGE_MAX_BYTES = 2048,
    MICROSECONDS_PER_TICK = TICK_MILLISECONDS * 1000,
};

static const struct sockaddr_un journal_address = {AF_UNIX, "/run/systemd/journal/socket"};

// The log is the process's, and so is its way to the journal. -1: it goes to standard error.
static int journal = -1;

// Every field is written with its length, the form that any value can have. One that does not fit
// is left out, for a part of it would spoil the entry.
static void put_field(struct text *entry, const char *prefix, const char *key, const char *value)
{
    size_t before = entry->length;
    uint64_t length = htole64(strlen(value));

    text_string(entry, prefix);
    for (const char *at = key; *at; at++)
        text_format(entry, "%c", toupper((unsigned char)*at));
    text_string(entry, "\n");
    text_bytes(entry, &length, sizeof length);
    text_string(entry, value);
    text_string(entry, "\n");
    if (entry->cut)
        entry->length = before;
    entry->cut = false;
}

// What a reader sees who does not ask for fields.
static void put_message(struct text *entry, const char *message, const struct log_field *fields,
                        size_t count)
{
    char room[MESSAGE_MAX_BYTES];
    struct text text = text_in(room, sizeof room);

    text_string(&text, message);
    for (size_t i = 0; i < count; i++)
        text_format(&text, " %s=%s", fields[i].key, fields[i].value);
    put_field(entry, "", "MESSAGE", text_end(&text));
}

static bool write_journal(enum log_level level, const char *message, const struct log_field *fields,
                          size_t count)
{
    char room[ENTRY_MAX_BYTES];
    struct text entry = text_in(room, sizeof room);

    put_message(&entry, message, fields, count);
    put_field(&entry, "", "PRIORITY", LOG_NUMBER(log_severity(level)));
    put_field(&entry, "", "SYSLOG_IDENTIFIER", "epoll-echo");
    put_field(&entry, "ECHO_", "EVENT", message);
    for (size_t i = 0; i < count; i++)
        put_field(&entry, "ECHO_", fields[i].key, fields[i].value);
    return sendto(journal, entry.bytes, entry.length, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&journal_address, sizeof journal_address) >= 0;
}

// JOURNAL_STREAM is inherited also by those whose standard error goes elsewhere (systemd.exec(5)).
static bool journal_is_standard_error(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char room[64];
    struct text own = text_in(room, sizeof room);
    struct stat status;

    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    text_format(&own, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, text_end(&own)) == 0;
}

static void open_journal(void)
{
    if (journal >= 0 || !journal_is_standard_error() || access(journal_address.sun_path, W_OK) < 0)
        return;
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal >= 0)
        log_set_sink(write_journal);
}

static void close_journal(void)
{
    if (journal < 0)
        return;
    log_set_sink(NULL);
    close(journal);
    journal = -1;
}

static bool is_own_pid(const char *pid)
{
    return strcmp(pid, LOG_NUMBER(getpid())) == 0;
}

// NULL, or what is wrong with the environment.
static const char *count_passed(struct systemd *systemd)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    char *end;

    if (!pid || !count || !is_own_pid(pid))
        return NULL; // meant for a process that has started this one
    unsigned long passed = strtoul(count, &end, 10);
    if (!isdigit((unsigned char)*count) || *end || passed > INT_MAX - FIRST_PASSED)
        return "LISTEN_FDS is not a number of descriptors";
    for (int i = 0; i < (int)passed; i++)
        if (fcntl(FIRST_PASSED + i, F_SETFD, FD_CLOEXEC) < 0)
            return "LISTEN_FDS counts a descriptor that is not open";
    systemd->passed = (int)passed;
    systemd->names = systemd->names_left = names ? strdup(names) : NULL;
    return NULL;
}

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

static void open_notify(struct systemd *systemd)
{
    const char *path = getenv("NOTIFY_SOCKET");

    if (!path || !*path)
        return;
    systemd->notify = connect_notify(path);
    if (systemd->notify < 0)
        log_event(LOG_WARNING, "cannot notify the service manager", "socket", path, "error",
                  strerror(errno), NULL);
}

// Half of the time after which the watchdog takes this process for dead, in whole ticks.
static ticks read_watchdog(void)
{
    const char *pid = getenv("WATCHDOG_PID"), *time = getenv("WATCHDOG_USEC");

    if (!time || (pid && !is_own_pid(pid)))
        return 0;
    unsigned long long microseconds = strtoull(time, NULL, 10);
    unsigned long long half = microseconds / 2 / MICROSECONDS_PER_TICK;
    if (microseconds > 0 && half == 0)
        return 1;
    return half < TICKS_NEVER / 2 ? (ticks)half : 0;
}

bool systemd_init(struct systemd *systemd)
{
    *systemd = (struct systemd){.notify = -1, .beat_due = TICKS_NEVER};
    const char *problem = count_passed(systemd);

    // A program that this process becomes or starts must not take them for its own.
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    open_journal();
    if (problem) {
        log_event(LOG_ERROR, "cannot take over sockets", "error", problem, NULL);
        return false;
    }
    open_notify(systemd);
    systemd->beat = systemd->notify >= 0 ? read_watchdog() : 0;
    if (systemd->beat > 0)
        systemd->beat_due = 1; // long ago: the first turn is due at once
    return true;
}

void systemd_finish(struct systemd *systemd)
{
    free(systemd->names);
    if (systemd->notify >= 0)
        close(systemd->notify);
    close_journal();
}

bool systemd_activated(const struct systemd *systemd)
{
    return systemd->passed > 0;
}

static bool option_is(int fd, int option, int wanted)
{
    int value;
    socklen_t length = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

// NULL and *PROTOCOL if FD can be served, else why it cannot. Neither the order nor the names of
// passed sockets tell what they are.
static const char *judge(int fd, enum protocol *protocol)
{
    bool tcp = option_is(fd, SO_TYPE, SOCK_STREAM) && option_is(fd, SO_PROTOCOL, IPPROTO_TCP);
    bool udp = option_is(fd, SO_TYPE, SOCK_DGRAM) && option_is(fd, SO_PROTOCOL, IPPROTO_UDP);
    struct address local;

    if (!tcp && !udp)
        return "neither TCP nor UDP";
    if (tcp && !option_is(fd, SO_ACCEPTCONN, 1))
        return "does not listen";
    if (net_local(fd, &local) < 0 || local.port == 0)
        return "is not bound";
    *protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    return NULL;
}

int systemd_take(struct systemd *systemd, enum protocol *protocol)
{
    while (systemd->taken < systemd->passed) {
        int fd = FIRST_PASSED + systemd->taken++;
        const char *name = strsep(&systemd->names_left, ":");
        const char *problem = judge(fd, protocol);

        if (!problem)
            return fd;
        log_event(LOG_WARNING, "passed socket refused", "fd", LOG_NUMBER(fd), "name",
                  name && *name ? name : NULL, "reason", problem, NULL);
        close(fd);
    }
    return -1;
}

static bool tell(const struct systemd *systemd, struct text *message, int flags)
{
    return send(systemd->notify, message->bytes, message->length, flags | MSG_NOSIGNAL) >= 0;
}

// Waits where the manager is behind, for nothing makes good for one of these that is lost.
static void tell_state(const struct systemd *systemd, struct text *message)
{
    if (systemd->notify >= 0 && !tell(systemd, message, 0))
        log_event(LOG_WARNING, "cannot notify the service manager", "error", strerror(errno), NULL);
}

static void put_status(struct text *message, const struct counters *counters)
{
    text_format(message, "STATUS=total_clients=%llu active_udp_peers=%u connected_tcp=%u\n",
                (unsigned long long)counters->total_clients, counters->active_udp_peers,
                counters->connected_tcp);
}

void systemd_ready(struct systemd *systemd, const struct counters *counters)
{
    char room[256];
    struct text message = text_in(room, sizeof room);

    if (systemd->stopping)
        return;
    text_string(&message, "READY=1\n");
    put_status(&message, counters);
    tell_state(systemd, &message);
    systemd->told = *counters;
}

void systemd_reloading(struct systemd *systemd)
{
    char room[64];
    struct text message = text_in(room, sizeof room);
    struct timespec now;

    if (systemd->stopping)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now); // cannot fail for this clock
    text_format(&message, "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    tell_state(systemd, &message);
}

void systemd_stopping(struct systemd *systemd)
{
    char room[16];
    struct text message = text_in(room, sizeof room);

    text_string(&message, "STOPPING=1\n");
    tell_state(systemd, &message);
    systemd->stopping = true;
}

static void beat(struct systemd *systemd, ticks now)
{
    char room[16];
    struct text message = text_in(room, sizeof room);

    text_string(&message, "WATCHDOG=1\n");
    // A manager so far behind that it cannot take this is asked again at the next tick.
    systemd->beat_due = now + (tell(systemd, &message, MSG_DONTWAIT) ? systemd->beat : 1);
}

static bool status_changed(const struct counters *a, const struct counters *b)
{
    return a->total_clients != b->total_clients || a->active_udp_peers != b->active_udp_peers ||
           a->connected_tcp != b->connected_tcp;
}

static void tell_status(struct systemd *systemd, const struct counters *counters, ticks now)
{
    char room[256];
    struct text message = text_in(room, sizeof room);

    if (systemd->status_due >= now + STATUS_BURST * TICKS_PER_SECOND)
        return;
    put_status(&message, counters);
    if (!tell(systemd, &message, MSG_DONTWAIT))
        return;
    systemd->status_due =
        (systemd->status_due > now ? systemd->status_due : now) + TICKS_PER_SECOND;
    systemd->told = *counters;
}

void systemd_turn(struct systemd *systemd, struct loop *loop, const struct counters *counters)
{
    if (systemd->beat > 0 && loop_now(loop) >= systemd->beat_due)
        beat(systemd, loop_now(loop));
    if (systemd->notify >= 0 && status_changed(&systemd->told, counters))
        tell_status(systemd, counters, loop_now(loop));
}

ticks systemd_next(const struct systemd *systemd)
{
    return systemd->beat_due;
}
