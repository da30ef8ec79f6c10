// SPDX-License-Identifier: MIT
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "core/address.h"

enum {
    CONNECTIONS_PER_ADDRESS = 16000, // of the 28,232 that Linux has by default
    ADDRESSES = 64,
    PROBE_MILLISECONDS = 250, // in which an ICMP error should be back
};

const char *dial_find(const struct settings *settings, struct target *target)
{
    struct addrinfo hints = {.ai_socktype = settings->udp ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(settings->host, settings->port, &hints, &found);

    if (error != 0)
        return error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
    *target = (struct target){.all = found, .at = found, .timeout = settings->timeout};
    return NULL;
}

void dial_finish(struct target *target)
{
    if (target->all)
        freeaddrinfo(target->all);
}

static struct address address_at(const struct sockaddr *where, socklen_t length)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};

    memcpy(&storage, where, length);
    return address_of(&storage);
}

static bool on_loopback(const struct target *target)
{
    struct address address = address_at(target->at->ai_addr, target->at->ai_addrlen);

    return address_is_v4(&address) && address_is_loopback(&address);
}

// The address that the next connection comes from, for the many of one host to another.
static int choose_source(const struct target *target, int fd)
{
    uint64_t block = target->dialled / CONNECTIONS_PER_ADDRESS % ADDRESSES;
    int on = 1;

    if (block == 0 || !on_loopback(target))
        return 0;
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)block)};
    // The port is chosen when the other end is known: else each port would serve once in all.
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0)
        return -1;
    return bind(fd, (const struct sockaddr *)&source, sizeof source);
}

static int set_up(const struct target *target, int fd, int type)
{
    uint64_t microseconds = (target->timeout + 999) / 1000; // 0 would be for ever
    struct timeval time = {.tv_sec = (time_t)(microseconds / 1000000),
                           .tv_usec = (suseconds_t)(microseconds % 1000000)};
    int on = 1;

    // connect(2) gives up after the time for sending: socket(7).
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) < 0)
        return -1;
    return type == SOCK_STREAM ? setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) : 0;
}

static int refuse_itself(const struct target *target, int fd)
{
    static const struct linger at_once = {.l_onoff = 1};
    struct address there = address_at(target->at->ai_addr, target->at->ai_addrlen), here;
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;

    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0)
        return -1;
    here = address_of(&storage);
    if (here.port != there.port ||
        (memcmp(&here.ip, &there.ip, sizeof here.ip) != 0 && !address_is_no_host(&there)))
        return 0;
    // Nor is the port taken, for a minute, from a server that may want it.
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    errno = ECONNREFUSED;
    return -1;
}

static int connect_to(const struct target *target, int fd)
{
    if (connect(fd, target->at->ai_addr, target->at->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -1;
        if (!(fcntl(fd, F_GETFL) & O_NONBLOCK)) {
            errno = ETIMEDOUT; // what a blocking socket's end of time is called
            return -1;
        }
    }
    return refuse_itself(target, fd);
}

static int closing(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

static bool no_port(int error)
{
    return error == EADDRNOTAVAIL || error == EADDRINUSE || error == EAGAIN;
}

// Whether there are no ports left; then further connections come from another address.
static bool move_on(struct target *target)
{
    if (!no_port(errno) || !on_loopback(target))
        return false;
    target->dialled += CONNECTIONS_PER_ADDRESS;
    return true;
}

// A socket of TYPE and FLAGS, connected or, if it does not block, about to be.
static int dial_one(struct target *target, int type, int flags)
{
    for (int i = 0; i < ADDRESSES; i++) {
        int fd = socket(target->at->ai_family, type | flags | SOCK_CLOEXEC, 0);

        if (fd < 0)
            return -1;
        if ((flags & SOCK_NONBLOCK || set_up(target, fd, type) == 0) &&
            choose_source(target, fd) == 0 && connect_to(target, fd) == 0) {
            target->dialled++;
            return fd;
        }
        closing(fd);
        if (!move_on(target))
            return -1;
    }
    return -1;
}

static int probe(const struct target *target)
{
    int fd = socket(target->at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte;

    if (fd < 0)
        return -1;
    if (connect_to(target, fd) < 0 || send(fd, "", 0, MSG_NOSIGNAL) < 0 ||
        (poll(&wait, 1, PROBE_MILLISECONDS) > 0 && recv(fd, &byte, 1, MSG_DONTWAIT) < 0))
        return closing(fd);
    close(fd);
    return 0;
}

int dial(struct target *target, int type)
{
    for (;; target->at = target->at->ai_next) {
        bool doubtful = !target->reached && target->all->ai_next;
        int fd =
            doubtful && type == SOCK_DGRAM && probe(target) < 0 ? -1 : dial_one(target, type, 0);

        if (fd < 0 && doubtful && target->at->ai_next)
            continue;
        target->reached = target->reached || fd >= 0;
        return fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? fd : closing(fd);
    }
}

int dial_begin(struct target *target)
{
    return dial_one(target, SOCK_STREAM, SOCK_NONBLOCK);
}

int dial_choose(struct target *target)
{
    if (target->reached || !target->all->ai_next)
        return 0;
    int fd = dial(target, SOCK_STREAM);
    return fd < 0 ? -1 : close(fd);
}

const char *dial_error(int error)
{
    return no_port(error)
               ? "no local address for it, or no port left: see net.ipv4.ip_local_port_range"
               : strerror(error);
}

bool dial_failed(int error)
{
    return error == ECONNREFUSED || error == ETIMEDOUT || no_port(error);
}
