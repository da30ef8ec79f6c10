// SPDX-License-Identifier: MIT
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "core/address.h"

enum {
    CONNECTIONS_PER_ADDRESS = 16000, // of the 28,232 that Linux has by default
    ADDRESSES = 64,
};

const char *dial_find(const struct settings *settings, struct target *target)
{
    struct addrinfo hints = {.ai_socktype = settings->udp ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(settings->host, settings->port, &hints, &found);

    if (error != 0)
        return gai_strerror(error);
    *target = (struct target){.length = found->ai_addrlen, .timeout = settings->timeout};
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return NULL;
}

// The address that the next connection comes from, for the many of one host to another.
static int choose_source(struct target *target, int fd)
{
    uint64_t block = target->dialled++ / CONNECTIONS_PER_ADDRESS % ADDRESSES;
    struct address address = address_of(&target->address);
    int on = 1;

    if (block == 0 || !address_is_v4(&address) || !address_is_loopback(&address))
        return 0;
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)block)};
    // The port is chosen when the other end is known: else each port would serve once in all.
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0)
        return -1;
    return bind(fd, (const struct sockaddr *)&source, sizeof source);
}

static int set_up(struct target *target, int fd, int type)
{
    struct timeval time = {
        .tv_sec = (time_t)(target->timeout / NANOSECONDS_PER_SECOND),
        .tv_usec = (suseconds_t)(target->timeout % NANOSECONDS_PER_SECOND / 1000),
    };
    int on = 1;

    // connect(2) gives up after the time for sending: socket(7).
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) < 0)
        return -1;
    if (type != SOCK_STREAM)
        return 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return -1;
    return choose_source(target, fd);
}

static int connect_to(struct target *target, int fd)
{
    if (connect(fd, (const struct sockaddr *)&target->address, target->length) == 0)
        return 0;
    if (errno == EINPROGRESS && !(fcntl(fd, F_GETFL) & O_NONBLOCK))
        errno = ETIMEDOUT; // what a blocking socket's end of time is called
    return errno == EINPROGRESS ? 0 : -1;
}

static int finish(int fd, int result)
{
    int error = errno;

    if (result == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

int dial(struct target *target, int type)
{
    int fd = socket(target->address.ss_family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (set_up(target, fd, type) < 0 || connect_to(target, fd) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return finish(fd, -1);
    return fd;
}

int dial_begin(struct target *target)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    return finish(fd, choose_source(target, fd) < 0 ? -1 : connect_to(target, fd));
}
