// SPDX-License-Identifier: MIT
// Lesson 4: heavy work on threads beside the loop, and EPOLLONESHOT.
//
// Every line is echoed, but each `#` in it first costs a million rounds of a hash, about a
// millisecond. Two threads do that work; the loop does the rest and therefore stays responsive.
// Answers keep the order of the lines, because a client is never in two hands.
//
//  - With EPOLLONESHOT an event disarms its descriptor. Who took the event owns the client and
//    needs no lock, until it arms the client, passes it on or frees it. Forgetting all three is
//    mistakes/oneshot-forgotten.c.
//  - Arming looks at the socket at once: input that came meanwhile is reported, nothing is lost.
//  - A disarmed descriptor has no events at all, EPOLLHUP and EPOLLERR included, so that a thread
//    may close and free: no event that the loop still has to handle points to the client.
//  - The queue to the threads is an epoll instance too: many threads wait on it, and with
//    EPOLLONESHOT each client goes to exactly one of them.
#include "common.h"

#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

struct client {
    int fd;
    uint32_t digest;     // what the work makes
    size_t sent, length; // data[sent..length) is owed to the client
    char data[16384];
};

static int loop, pool;
static pthread_mutex_t handover = PTHREAD_MUTEX_INITIALIZER;

static void arm(int instance, int operation, struct client *c, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = c};
    pthread_mutex_lock(&handover);
    must(epoll_ctl(instance, operation, c->fd, &event), "epoll_ctl");
    pthread_mutex_unlock(&handover);
}

// The lock orders what one owner did before what the next one does. In the kernel this is so
// anyway, but the C language does not know that, and neither does ThreadSanitizer.
static struct client *take(int instance)
{
    struct epoll_event event;
    while (epoll_wait(instance, &event, 1, -1) != 1)
        continue; // EINTR
    pthread_mutex_lock(&handover);
    pthread_mutex_unlock(&handover);
    return event.data.ptr;
}

static void dismiss(struct client *c)
{
    epoll_ctl(loop, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
}

// Runs in any thread: whoever owns the client.
static void answer(struct client *c)
{
    ssize_t n = send(c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        dismiss(c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    arm(loop, EPOLL_CTL_MOD, c, c->sent < c->length ? EPOLLOUT : EPOLLIN);
}

static void *work(void *unused)
{
    for (;;) {
        struct client *c = take(pool);
        epoll_ctl(pool, EPOLL_CTL_DEL, c->fd, NULL);
        for (size_t i = 0; i < c->length; i++)
            for (int round = 0; c->data[i] == '#' && round < 1000000; round++)
                c->digest = (c->digest ^ (uint32_t)round) * 16777619; // FNV-1a
        answer(c);
    }
    return unused;
}

static void serve(struct client *c)
{
    if (c->sent < c->length) { // it was armed for output
        answer(c);
        return;
    }
    ssize_t n = recv(c->fd, c->data, sizeof(c->data), 0);
    c->sent = 0;
    c->length = n > 0 ? (size_t)n : 0;
    if (n == 0 || (n < 0 && errno != EAGAIN))
        dismiss(c);
    else if (memchr(c->data, '#', c->length))
        arm(pool, EPOLL_CTL_ADD, c, EPOLLOUT); // writable as it is, it goes straight to a thread
    else
        answer(c);
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? argv[1] : "0");
    loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    pool = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}; // NULL: the listener
    must(epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (int i = 0; i < 2; i++)
        must(-pthread_create(&(pthread_t){0}, NULL, work, NULL), "pthread_create");
    for (;;) {
        struct client *c = take(loop);
        if (c)
            serve(c);
        else if ((c = accept_client(listener, sizeof(*c))) != NULL)
            arm(loop, EPOLL_CTL_ADD, c, EPOLLIN);
    }
}
