// SPDX-License-Identifier: MIT
// Lesson 7: connections that are made without waiting for any of them.
//
//  - connect() on a non-blocking socket begins it: EINPROGRESS is no error. To the same machine it
//    may also be through, or refused, at once.
//  - EPOLLOUT says that it is decided, and not how. SO_ERROR does: 0, or the reason. (EPOLLERR and
//    EPOLLHUP come with a refusal, but tell no more.)
//  - connect() first, then EPOLL_CTL_ADD: a socket that has no connection yet and is not getting
//    one reports EPOLLOUT and EPOLLHUP.
//  - The kernel asks again for two minutes. Who wants less sets a limit of his own, and closes.
//  - Once connected, a client is what an accepted one is: EPOLLOUT leaves the mask, or it spins
//    (mistakes/out-spin.c).
//
// Try: connect 500 7000 7001 7002 (the limit in milliseconds, and ports to connect to)
#include "common.h"

#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { PORTS_MAX = 64 };

struct attempt {
    int fd; // -1: decided
    int port;
};

static int now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int)(t.tv_sec % 1000000 * 1000 + t.tv_nsec / 1000000);
}

static void decided(struct attempt *attempt, const char *how)
{
    printf("port %d: %s\n", attempt->port, how);
    close(attempt->fd); // here a client would begin to talk
    attempt->fd = -1;
}

// Begins to connect. False: it is decided already.
static bool begin(int loop, struct attempt *attempt)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    to.sin_port = htons((uint16_t)attempt->port);
    attempt->fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    if (connect(attempt->fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != EINPROGRESS) {
        decided(attempt, errno ? strerror(errno) : "connected at once");
        return false;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = attempt};
    must(epoll_ctl(loop, EPOLL_CTL_ADD, attempt->fd, &event), "epoll_ctl");
    return true;
}

static void finish(int loop, struct attempt *attempt)
{
    int error = 0;
    socklen_t length = sizeof(error);
    must(getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
    epoll_ctl(loop, EPOLL_CTL_DEL, attempt->fd, NULL);
    decided(attempt, error ? strerror(error) : "connected");
}

int main(int argc, char **argv)
{
    struct attempt attempts[PORTS_MAX];
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"), count = 0, open = 0;
    int limit = argc > 1 ? number_of(argv[1], 600000) : 0, end = now_ms() + limit;
    for (; count < argc - 2 && count < PORTS_MAX; count++) {
        attempts[count].port = number_of(argv[count + 2], UINT16_MAX);
        errno = 0;
        open += begin(loop, &attempts[count]);
    }
    for (int left = limit; open > 0 && left > 0; left = end - now_ms()) {
        struct epoll_event ready[64];
        int found = epoll_wait(loop, ready, 64, left);
        if (found < 0 && errno != EINTR)
            must(found, "epoll_wait");
        for (int i = 0; i < found; i++, open--)
            finish(loop, ready[i].data.ptr);
    }
    for (int i = 0; i < count; i++)
        if (attempts[i].fd >= 0)
            decided(&attempts[i], "no answer within the limit");
}
