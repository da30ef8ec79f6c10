// SPDX-License-Identifier: MIT
#include "system/passed.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/address.h"
#include "core/number.h"
#include "ground/log.h"
#include "system/flight.h"
#include "system/net.h"
#include "system/notify.h"

enum { FIRST_PASSED = 3, MULTIPATH_TCP = 262 /* IPPROTO_MPTCP of newer headers */ };

// NULL, or what is wrong with the environment.
static const char *count(struct passed *passed)
{
    const char *pid = getenv("LISTEN_PID"), *number = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    uint64_t own, sockets;

    if (!pid || !number || !number_of(pid, INT_MAX, &own) || (pid_t)own != getpid())
        return NULL; // meant for a process that has started this one
    if (!number_of(number, INT_MAX - FIRST_PASSED, &sockets))
        return "LISTEN_FDS is not a number of descriptors";
    for (int i = 0; i < (int)sockets; i++)
        if (fcntl(FIRST_PASSED + i, F_SETFD, FD_CLOEXEC) < 0)
            return "LISTEN_FDS counts a descriptor that is not open";
    passed->count = (int)sockets;
    passed->names = passed->names_left = names ? strdup(names) : NULL;
    return NULL;
}

// Whether the first of NAMES, with colons in between, is that of what notify_store leaves.
static bool is_stored(const char *names)
{
    size_t length = strcspn(names, ":");

    return length == sizeof NOTIFY_STORED - 1 && memcmp(names, NOTIFY_STORED, length) == 0;
}

// If there are several, the others are closed as of no use.
static void find_flight(struct passed *passed)
{
    const char *names = passed->names ? passed->names : "";

    for (int i = 0; i < passed->count && passed->flight < 0; i++) {
        if (is_stored(names) && arrival_is(FIRST_PASSED + i))
            passed->flight = FIRST_PASSED + i;
        names += strcspn(names, ":");
        names += *names == ':';
    }
}

const char *passed_open(struct passed *passed)
{
    *passed = (struct passed){.flight = -1};
    const char *problem = count(passed);

    if (!problem)
        find_flight(passed);

    // A program that this process becomes or starts must not take them for its own.
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return problem;
}

void passed_close(struct passed *passed)
{
    free(passed->names);
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
    bool tcp = option_is(fd, SO_TYPE, SOCK_STREAM) && (option_is(fd, SO_PROTOCOL, IPPROTO_TCP) ||
                                                       option_is(fd, SO_PROTOCOL, MULTIPATH_TCP));
    bool udp = option_is(fd, SO_TYPE, SOCK_DGRAM) && option_is(fd, SO_PROTOCOL, IPPROTO_UDP);

    if (!tcp && !udp)
        return "neither TCP nor UDP";
    if (tcp && !option_is(fd, SO_ACCEPTCONN, 1))
        return "does not listen";
    struct address local = net_local(fd);
    if (local.port == 0)
        return "is not bound";
    if (address_is_group(&local))
        return "is bound to a multicast or broadcast address";
    *protocol = tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
    return NULL;
}

void passed_refuse(int fd, const char *name, const char *reason)
{
    log_event(LOG_WARNING, "passed socket refused", LOG_NUMBER("fd", fd),
              LOG_TEXT("name", *name ? name : NULL), LOG_TEXT("reason", reason));
    close(fd);
}

int passed_take(struct passed *passed, enum protocol *protocol, const char **name)
{
    while (passed->taken < passed->count) {
        int fd = FIRST_PASSED + passed->taken++;
        const char *own = strsep(&passed->names_left, ":");
        const char *problem = fd == passed->flight ? NULL : judge(fd, protocol);

        *name = own ? own : "";
        if (fd == passed->flight)
            continue;
        if (!problem)
            return fd;
        passed_refuse(fd, *name, problem);
    }
    return -1;
}
