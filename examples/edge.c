// SPDX-License-Identifier: MIT
// Lesson 2: the edge-triggered echo.
//
//  - An event says that something arrived, once. What is not read then stays unread until the
//    peer happens to send more (mistakes/edge-stall.c). So a descriptor is worked on until the
//    kernel answers EAGAIN, which needs non-blocking sockets.
//  - EPOLLIN | EPOLLOUT | EPOLLET is registered once and never changed: no EPOLL_CTL_MOD when
//    output has to wait. In return the program itself must remember what is still to be done.
//  - A peer that sends as fast as we read never lets us see EAGAIN (mistakes/edge-starve.c). So
//    a turn is limited to a budget, and who is not finished goes to the end of a queue: a ready
//    list of our own, beside the one in the kernel. While it has members, epoll_wait() only
//    looks (timeout 0).
//
// The listener is level-triggered: the trigger is chosen for each descriptor, and one accept for
// each event is all that a level-triggered listener needs.
#include "common.h"

#include <stdbool.h>
#include <sys/epoll.h>

enum { TURN_BYTES = 65536 };
enum outcome { DRAINED, UNFINISHED, GONE };

struct client {
    int fd;
    bool queued;
    struct client *next; // in the queue
    size_t sent, length; // data[sent..length) is owed to the client
    char data[16384];
};

struct queue {
    struct client *first, **end;
};

static void enqueue(struct queue *queue, struct client *c)
{
    if (c->queued)
        return;
    c->queued = true;
    c->next = NULL;
    *queue->end = c;
    queue->end = &c->next;
}

static void admit(int loop, int listener)
{
    struct client *c = accept_client(listener, sizeof(*c));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (c) // what has arrived before this counts as an edge, too
        must(epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
}

// One turn: echo until EAGAIN or until the budget is used up, whichever comes first.
static enum outcome take_turn(struct client *c)
{
    size_t budget = TURN_BYTES;
    while (budget > 0) {
        bool owed = c->sent < c->length;
        ssize_t n = owed ? send(c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL)
                         : recv(c->fd, c->data, sizeof(c->data), 0);
        if (n < 0)
            return errno == EAGAIN ? DRAINED : GONE;
        if (owed) {
            c->sent += (size_t)n;
            budget -= (size_t)n < budget ? (size_t)n : budget;
        } else {
            if (n == 0)
                return GONE; // end of file, and nothing is owed
            c->sent = 0;
            c->length = (size_t)n;
        }
    }
    return UNFINISHED;
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? argv[1] : "0");
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; // NULL: the listener
    must(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    struct queue queue = {NULL, &queue.first};
    for (;;) {
        struct epoll_event ready[64];
        int count = epoll_wait(loop, ready, 64, queue.first ? 0 : -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == NULL)
                admit(loop, listener);
            else
                enqueue(&queue, ready[i].data.ptr);
        }
        struct client *next = queue.first; // everybody in the queue now gets one turn
        queue = (struct queue){NULL, &queue.first};
        while (next) {
            struct client *c = next;
            next = c->next;
            c->queued = false;
            enum outcome outcome = take_turn(c);
            if (outcome == UNFINISHED)
                enqueue(&queue, c);
            if (outcome == GONE) {
                epoll_ctl(loop, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
                free(c); // it was taken off the queue above, and its event is behind us
            }
        }
    }
}
