// SPDX-License-Identifier: MIT
#include "system/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// <linux/fcntl.h>; the C library has them too, where it is new enough.
#ifndef F_ADD_SEALS
enum { F_ADD_SEALS = 1033, F_GET_SEALS };
enum { F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4, F_SEAL_WRITE = 8 };
#endif

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

union control {
    alignas(struct cmsghdr) char bytes[CMSG_SPACE(FLIGHT_BATCH_MAX * sizeof(int))];
};

bool flight_open(struct flight *flight)
{
    static const int most = INT32_MAX / 2;
    int pair[2] = {-1, -1};

    *flight = (struct flight){.near = -1, .far = -1};
    flight->memory = memfd_create("epoll-echo", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (flight->memory < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return false;
    flight->near = pair[0];
    flight->far = pair[1];
    // A message takes some 760 bytes of room, and descriptors have to wait until they are taken: by
    // default there is room for 70,000, and with what anybody may have (net.core.wmem_max, which
    // counts twice), for 140,000 and more.
    setsockopt(flight->near, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
    return true;
}

void flight_close(struct flight *flight)
{
    int fds[] = {flight->memory, flight->near, flight->far};

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    flight->memory = flight->near = flight->far = -1;
}

bool flight_flush(struct flight *flight)
{
    size_t length = flight->count * sizeof(int);
    union control control = {.bytes = ""};
    uint8_t count = (uint8_t)flight->count;
    struct iovec byte = {&count, 1};
    // By sendmmsg(2), as what the sandbox lets pass is not to grow by a call that does the same.
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &byte,
                                          .msg_iovlen = 1,
                                          .msg_control = &control,
                                          .msg_controllen = (socklen_t)CMSG_SPACE(length)}};
    struct cmsghdr *at = CMSG_FIRSTHDR(&message.msg_hdr);

    if (count == 0)
        return true;
    at->cmsg_level = SOL_SOCKET;
    at->cmsg_type = SCM_RIGHTS;
    at->cmsg_len = (socklen_t)CMSG_LEN(length); // musl: no size_t
    memcpy(CMSG_DATA(at), flight->batch, length);
    flight->count = 0;
    return sendmmsg(flight->near, &message, 1, MSG_NOSIGNAL) == 1;
}

bool flight_send(struct flight *flight, int fd)
{
    flight->batch[flight->count++] = fd;
    return flight->count < FLIGHT_BATCH_MAX || flight_flush(flight);
}

bool flight_send_bytes(struct flight *flight, const char *bytes, size_t length)
{
    if (length > FLIGHT_BYTES_MAX) {
        errno = EFBIG;
        return false;
    }
    while (length > 0) {
        ssize_t written = write(flight->memory, bytes, length);

        if (written < 0 && errno != EINTR)
            return false;
        bytes += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return fcntl(flight->memory, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0 &&
           flight_send(flight, flight->memory) && flight_flush(flight);
}

bool arrival_is(int fd)
{
    int domain = 0, type = 0;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *at)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" // within musl's macro
    return CMSG_NXTHDR(message, at);
#pragma GCC diagnostic pop
}

// How many descriptors MESSAGE has brought to FDS, wherever they stand in it.
static int find_fds(struct msghdr *message, int fds[FLIGHT_BATCH_MAX])
{
    size_t length = 0;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = next_control(message, at))
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS) {
            length = at->cmsg_len - CMSG_LEN(0);
            memcpy(fds, CMSG_DATA(at), length);
        }
    return (int)(length / sizeof(int));
}

// Fills the batch, of which the kernel drops what this process may not have. False at the end, and
// at what no flight sends, whose descriptors are closed.
static bool receive(struct arrival *arrival)
{
    union control control;
    uint8_t count = 0;
    struct iovec byte = {&count, 1};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = &byte,
                                          .msg_iovlen = 1,
                                          .msg_control = &control,
                                          .msg_controllen = sizeof control}};

    arrival->at = arrival->count = 0;
    if (recvmmsg(arrival->socket, &message, 1,
                 arrival->look ? MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC
                               : MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
                 NULL) != 1)
        return false;
    int had = find_fds(&message.msg_hdr, arrival->fds);
    bool whole = message.msg_len == 1 && !(message.msg_hdr.msg_flags & MSG_TRUNC);
    if (!whole || count > FLIGHT_BATCH_MAX || had > count) {
        while (had > 0)
            close(arrival->fds[--had]);
        return false;
    }
    for (int i = had; i < count; i++)
        arrival->fds[i] = ARRIVAL_LOST;
    arrival->count = count;
    return count > 0;
}

int arrival_next(struct arrival *arrival)
{
    if (arrival->at == arrival->count && !receive(arrival))
        return ARRIVAL_END;
    return arrival->fds[arrival->at++];
}

// NULL, or what is wrong with what MEMORY holds.
static const char *read_memory(struct arrival *arrival, int memory)
{
    int seals = fcntl(memory, F_GET_SEALS);
    struct stat status;
    size_t done = 0;

    if (seals < 0 || (seals & SEALS) != SEALS)
        return "what tells about them is not sealed";
    if (fstat(memory, &status) < 0 || status.st_size <= 0 || status.st_size > FLIGHT_BYTES_MAX)
        return "what tells about them cannot be read";
    arrival->bytes = malloc((size_t)status.st_size);
    if (!arrival->bytes)
        return "there is no memory";
    for (ssize_t got = 1; got > 0; done += (size_t)(got > 0 ? got : 0))
        got = pread(memory, arrival->bytes + done, (size_t)status.st_size - done, (off_t)done);
    arrival->length = done;
    return NULL;
}

const char *arrival_open(struct arrival *arrival, int socket)
{
    static const int begin = 0;

    *arrival = (struct arrival){.socket = socket};
    // socket(7): from the first message on, each MSG_PEEK looks at the next one, and all stay where
    // they are: who comes next finds them if this process ends meanwhile. Where that cannot be set,
    // they are taken.
    if (setsockopt(socket, SOL_SOCKET, SO_PEEK_OFF, &begin, sizeof begin) == 0)
        arrival->look = MSG_PEEK;
    int memory = arrival_next(arrival);

    if (memory < 0)
        return "nothing tells about them";
    const char *problem = read_memory(arrival, memory);
    close(memory);
    return problem;
}

void arrival_close(struct arrival *arrival)
{
    int fd;

    if (arrival->socket < 0)
        return;
    while ((fd = arrival_next(arrival)) != ARRIVAL_END)
        if (fd >= 0)
            close(fd);
    close(arrival->socket);
    free(arrival->bytes);
    *arrival = (struct arrival){.socket = -1};
}
