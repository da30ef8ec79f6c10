// SPDX-License-Identifier: MIT
// Lesson 3: a peer that stops sending but still reads, and EPOLLRDHUP.
//
// A client may end its own direction (shutdown(fd, SHUT_WR), what `nc -N` does) and then wait for
// the answers. The kernel says so twice: recv() returns 0 once everything before the FIN is read,
// and EPOLLRDHUP is set as soon as the FIN is there, however much is still unread.
//
//  - EPOLLRDHUP is not a reason to close: input may be waiting, and output may be owed. Here it
//    only sets a flag, which tells a state that does not read (output is blocked) what recv()
//    cannot tell it yet. The end comes where recv() returns 0, and then nothing is owed.
//  - It stays true for good. A level-triggered loop that leaves it in the mask wakes millions of
//    times a second (mistakes/rdhup-spin.c): it is taken out once it has been seen.
//  - After the last byte was read, close() sends a FIN behind the last byte of output. With
//    unread input it would send a reset (mistakes/reset-goodbye.c).
#include "common.h"

#include <stdbool.h>
#include <sys/epoll.h>

struct client {
    int fd;
    bool ending;         // the FIN has been seen
    uint32_t interest;   // the mask that the kernel has
    unsigned wakeups;    // events so far; printed at the end, to show that nothing spins
    size_t sent, length; // data[sent..length) is owed to the client
    char data[16384];
};

static void watch(int loop, int operation, struct client *c, uint32_t interest)
{
    struct epoll_event event = {.events = interest, .data.ptr = c};
    if (c->interest != interest)
        must(epoll_ctl(loop, operation, c->fd, &event), "epoll_ctl");
    c->interest = interest;
}

static void admit(int loop, int listener)
{
    struct client *c = accept_client(listener, sizeof(*c));
    if (c)
        watch(loop, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLRDHUP);
}

static void dismiss(int loop, struct client *c, const char *why)
{
    printf("%s after %u wakeups\n", why, c->wakeups);
    fflush(stdout);
    epoll_ctl(loop, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
}

static void serve(int loop, struct client *c, uint32_t events)
{
    c->wakeups++;
    if ((events & EPOLLRDHUP) && !c->ending) {
        c->ending = true;
        printf("half-closed, %zu bytes owed\n", c->length - c->sent);
        fflush(stdout);
    }
    if (events & (EPOLLERR | EPOLLHUP)) { // a reset, or both directions are closed: nobody reads
        dismiss(loop, c, "lost");
        return;
    }
    if (c->sent == c->length) {
        ssize_t n = recv(c->fd, c->data, sizeof(c->data), 0);
        if (n == 0) {
            dismiss(loop, c, "finished");
            return;
        }
        c->sent = 0;
        c->length = n < 0 ? 0 : (size_t)n; // an error comes back as EPOLLHUP
    }
    if (c->sent < c->length) {
        ssize_t n = send(c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL);
        if (n > 0)
            c->sent += (size_t)n;
    }
    uint32_t direction = c->sent < c->length ? EPOLLOUT : EPOLLIN;
    watch(loop, EPOLL_CTL_MOD, c, direction | (c->ending ? 0 : (uint32_t)EPOLLRDHUP));
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
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == NULL)
                admit(loop, listener);
            else
                serve(loop, ready[i].data.ptr, ready[i].events);
        }
    }
}
