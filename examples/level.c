// SPDX-License-Identifier: MIT
// Lesson 1: the level-triggered echo, the form to start from.
//
//  - epoll_wait() returns a descriptor as long as the condition holds, so that one read for each
//    event is enough: what was left in the socket comes back in the next round.
//  - data.ptr leads straight from an event to the object it is about: no table, no search. The
//    object is freed when its descriptor is closed, and nobody else frees it.
//  - A client is in one of two states: it owes us input (EPOLLIN), or we owe it output (EPOLLOUT)
//    and do not read from it. A peer that does not read is therefore not read from: its memory
//    here is one buffer, and it waits by itself. EPOLLOUT stays in the mask only while something
//    is owed, because an idle socket is writable all the time (mistakes/out-spin.c).
//
// Try: level 7000 &   nc 127.0.0.1 7000
#include "common.h"

#include <stdbool.h>
#include <sys/epoll.h>

struct client {
    int fd;
    size_t sent, length; // data[sent..length) is owed to the client
    char data[16384];
};

static void watch(int loop, int operation, struct client *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    must(epoll_ctl(loop, operation, c->fd, &event), "epoll_ctl");
}

static void admit(int loop, int listener)
{
    struct client *c = accept_client(listener, sizeof(*c));
    if (c) // else it is gone already, or was turned away
        watch(loop, EPOLL_CTL_ADD, c, EPOLLIN);
}

// Only the client's own event leads here, and a batch has at most one event for a descriptor:
// no event that is still to be handled points to the freed object.
static void dismiss(int loop, struct client *c)
{
    epoll_ctl(loop, EPOLL_CTL_DEL, c->fd, NULL); // why, if close() follows: mistakes/closed-dup.c
    close(c->fd);
    free(c);
}

// Echoes once. False: the client is finished. EPOLLHUP and EPOLLERR need no case of their own,
// because recv() or send() reports the same thing and says more.
static bool serve(int loop, struct client *c)
{
    bool owed = c->sent < c->length;
    if (!owed) {
        ssize_t n = recv(c->fd, c->data, sizeof(c->data), 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN; // 0: it sent its FIN, and everything was echoed
        c->sent = 0;
        c->length = (size_t)n;
    }
    ssize_t n = send(c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return false;
    if (n > 0)
        c->sent += (size_t)n;
    bool owes = c->sent < c->length;
    if (owes != owed) // a system call only when the state changes
        watch(loop, EPOLL_CTL_MOD, c, owes ? EPOLLOUT : EPOLLIN);
    return true;
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? argv[1] : "0");
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; // NULL: the listener
    must(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        struct epoll_event ready[64];
        int count = epoll_wait(loop, ready, 64, -1);
        if (count < 0 && errno != EINTR)
            must(count, "epoll_wait");
        for (int i = 0; i < count; i++) {
            struct client *c = ready[i].data.ptr;
            if (c == NULL)
                admit(loop, listener);
            else if (!serve(loop, c))
                dismiss(loop, c);
        }
    }
}
