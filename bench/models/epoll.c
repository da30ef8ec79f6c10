// SPDX-License-Identifier: MIT
// epoll(7), edge-triggered, registered once. A short read has emptied the socket.
#include <stdbool.h>
#include <sys/epoll.h>

#include "clients.h"

enum { EVENTS_MAX = 64 };

struct member {
    struct client client;
    int fd;
};

static char bytes[MODEL_BUFFER_BYTES];

static void take(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct member *member = calloc(1, sizeof *member);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = member};

        member->fd = fd;
        model_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
}

// Like client_read, until the socket is empty.
static int read_all(struct member *member)
{
    for (;;) {
        ssize_t got = recv(member->fd, bytes, sizeof bytes, 0);

        if (got <= 0)
            return got < 0 && errno == EAGAIN ? 0 : -1;
        ssize_t sent = send(member->fd, bytes, (size_t)got, MSG_NOSIGNAL);
        if (sent < got) {
            if (sent < 0 && errno != EAGAIN)
                return -1;
            sent = sent < 0 ? 0 : sent;
            member->client.length = (size_t)(got - sent);
            member->client.unsent = malloc(member->client.length);
            memcpy(member->client.unsent, bytes + sent, member->client.length);
            return 1;
        }
        if (got < (ssize_t)sizeof bytes)
            return 0;
    }
}

static void turn(struct member *member, uint32_t events)
{
    int state = member->client.unsent ? client_write(member->fd, &member->client) : 0;

    // What came while it was not read from makes no new edge.
    if (state == 0)
        state = read_all(member);
    if (state >= 0 && (events & (EPOLLHUP | EPOLLERR)))
        state = -1;
    if (state < 0) {
        client_close(member->fd, &member->client);
        free(member);
    }
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    int epoll = epoll_create1(0);
    struct epoll_event events[EVENTS_MAX], first = {.events = EPOLLIN, .data.ptr = NULL};

    model_check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first), "epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);

        for (int i = 0; i < ready; i++)
            if (events[i].data.ptr)
                turn(events[i].data.ptr, events[i].events);
            else
                take(epoll, listener);
    }
}
