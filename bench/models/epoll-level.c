// SPDX-License-Identifier: MIT
// epoll(7), level-triggered: what a client waits for is registered anew as often as that changes,
// which is seldom, and nothing is left over that epoll would not report again.
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "clients.h"

enum { EVENTS_MAX = 64 };

static struct client clients[CLIENTS_MAX]; // by descriptor

static void watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    model_check(epoll_ctl(epoll, operation, fd, &event), "epoll_ctl");
}

static void turn(int epoll, int fd)
{
    struct client *client = &clients[fd];
    bool wrote = client->unsent;
    enum state state = client_turn(fd, client);

    if (state != STATE_GONE && wrote != (state == STATE_WRITE))
        watch(epoll, EPOLL_CTL_MOD, fd, state == STATE_WRITE ? EPOLLOUT : EPOLLIN);
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    int epoll = epoll_create1(0);
    struct epoll_event events[EVENTS_MAX];

    model_check(epoll, "epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1), fd;

        for (int i = 0; i < ready; i++)
            if (events[i].data.fd != listener)
                turn(epoll, events[i].data.fd);
            else if ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}
