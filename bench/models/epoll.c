// SPDX-License-Identifier: MIT
// epoll(7), edge-triggered, registered once. A short read has emptied the socket.
#include <stdint.h>
#include <sys/epoll.h>

#include "clients.h"

enum { EVENTS_MAX = 64 };

static struct client clients[CLIENTS_MAX]; // by descriptor

static void take(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.fd = fd};

        model_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
}

// What is ready already makes no new edge, and an end may stand behind the data.
static void turn(int fd, uint32_t events)
{
    enum state state = client_turn(fd, &clients[fd]);

    while (state == STATE_AGAIN || (state == STATE_READ && (events & EPOLLRDHUP)))
        state = client_turn(fd, &clients[fd]);
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    int epoll = epoll_create1(0);
    struct epoll_event events[EVENTS_MAX], first = {.events = EPOLLIN, .data.fd = listener};

    model_check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first), "epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < ready; i++)
            if (events[i].data.fd == listener)
                take(epoll, listener);
            else
                turn(events[i].data.fd, events[i].events);
    }
}
