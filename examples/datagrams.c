// SPDX-License-Identifier: MIT
// Lesson 6: the echo over UDP.
//
//  - One socket serves everybody. There is nothing to accept and no end of anything: a datagram of
//    no bytes is a datagram, where 0 from a stream is its end.
//  - A datagram is read as a whole or not at all: what does not fit is gone. MSG_TRUNC has
//  recvfrom()
//    return the length that it had, so that a part is not taken for the whole.
//  - A read that is shorter than the buffer tells nothing about the next datagram: who drains, as
//    with edges, does so until EAGAIN. Level-triggered, a few a turn are enough.
//  - An answer that cannot be sent now is dropped: the network may do that, too, and a queue would
//    grow as fast as anybody can send. So nobody waits for EPOLLOUT.
//  - No error of one datagram is one of the socket: none ends the loop.
//
// Try: datagrams 7000 &   nc -u 127.0.0.1 7000
#include "common.h"

#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

enum { ROOM = 2048, TURN = 64 };

static int bind_to(const char *port)
{
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    at.sin_port = htons((uint16_t)number_of(port, UINT16_MAX));
    socklen_t length = sizeof(at);
    must(bind(fd, (struct sockaddr *)&at, length), "bind");
    must(getsockname(fd, (struct sockaddr *)&at, &length), "getsockname");
    printf("listening on %d\n", ntohs(at.sin_port));
    return fd;
}

// Answers one datagram. False: there is none.
static bool serve(int fd)
{
    char data[ROOM];
    struct sockaddr_in peer;
    socklen_t length = sizeof(peer);
    ssize_t n = recvfrom(fd, data, sizeof(data), MSG_TRUNC, (struct sockaddr *)&peer, &length);
    if (n < 0)
        return errno != EAGAIN; // what a datagram sent before has met with: the next one is there
    if (n > ROOM)
        printf("%zd bytes were cut to %d\n", n, ROOM); // no echo of a part
    else if (sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&peer, length) < 0)
        printf("dropped: %s\n", strerror(errno));
    return true;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = bind_to(argc > 1 ? argv[1] : "0");
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    for (;;) {
        if (epoll_wait(loop, &event, 1, -1) < 0 && errno != EINTR)
            must(-1, "epoll_wait");
        for (int i = 0; i < TURN && serve(fd); i++)
            continue; // the rest of many is reported again
    }
}
