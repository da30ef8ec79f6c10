// SPDX-License-Identifier: MIT
// Lesson 5: time and signals are descriptors as well.
//
//  - signalfd: a signal is blocked and read like input. No handler, no volatile flag, no EINTR,
//    and no race between the check of a flag and epoll_wait().
//  - timerfd: a client that has been silent for too long is closed. All have the same limit, so a
//    list in order of their last activity is enough, and one timer: it is armed for the client
//    that is due first. Activity only moves a client to the end of the list; the timer is set
//    again when it fires. No system call for each message, and no tick while nobody is there.
//  - Keepalive is another thing. The idle limit ends a peer that is silent; keepalive lets the
//    kernel find out that a silent peer no longer exists, and the client ends with ETIMEDOUT.
//
// Try: timers-signals 7000 10 (the port, and the limit in seconds)
#include "common.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

struct client {
    int fd;
    size_t sent, length; // data[sent..length) is owed to the client
    time_t due;          // when it will have been silent for too long, in seconds
    TAILQ_ENTRY(client) link;
    char data[16384];
};

static TAILQ_HEAD(, client) clients = TAILQ_HEAD_INITIALIZER(clients);
static int loop, listener, signals, timer; // the addresses of these serve as data.ptr
static int limit = 60;

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static void watch(int operation, int fd, uint32_t events, void *object)
{
    struct epoll_event event = {.events = events, .data.ptr = object};
    must(epoll_ctl(loop, operation, fd, &event), "epoll_ctl");
}

static void admit(void)
{
    struct client *c = accept_client(listener, sizeof(*c));
    if (c == NULL)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){60}, sizeof(int));  // seconds of silence,
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){10}, sizeof(int)); // between probes,
    setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));    // number of probes
    c->due = now() + limit + 1; // in whole seconds, and not too early
    TAILQ_INSERT_TAIL(&clients, c, link);
    watch(EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void dismiss(struct client *c, const char *why)
{
    puts(why);
    TAILQ_REMOVE(&clients, c, link);
    epoll_ctl(loop, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
}

static void serve(struct client *c)
{
    bool owed = c->sent < c->length;
    ssize_t n = owed ? 1 : recv(c->fd, c->data, sizeof(c->data), 0);
    if (!owed && n > 0) {
        c->sent = 0;
        c->length = (size_t)n;
    }
    if (n > 0)
        n = send(c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        dismiss(c, "closed");
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (owed != (c->sent < c->length))
        watch(EPOLL_CTL_MOD, c->fd, owed ? EPOLLIN : EPOLLOUT, c);
    c->due = now() + limit + 1;
    TAILQ_REMOVE(&clients, c, link);
    TAILQ_INSERT_TAIL(&clients, c, link); // now it is the last one due
}

// Closes who is due and sets the timer for who is next; 0, for nobody, stops it. Setting a timer
// also takes back its expiry, so that the level-triggered event is gone without a read().
static void expire(void)
{
    struct client *c;
    while ((c = TAILQ_FIRST(&clients)) != NULL && c->due <= now())
        dismiss(c, "idle");
    struct itimerspec at = {.it_value.tv_sec = c ? c->due : 0};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL); // a signal that is not blocked never gets to a signalfd
    setvbuf(stdout, NULL, _IOLBF, 0);
    limit = argc > 2 ? number_of(argv[2], 86400) : limit;
    loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    signals = must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
    timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create");
    listener = listen_on(argc > 1 ? argv[1] : "0");
    watch(EPOLL_CTL_ADD, signals, EPOLLIN, &signals);
    watch(EPOLL_CTL_ADD, timer, EPOLLIN, &timer);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, &listener);
    struct signalfd_siginfo signal = {.ssi_signo = 0};
    while (signal.ssi_signo == 0) {
        struct epoll_event ready[64];
        int count = epoll_wait(loop, ready, 64, -1);
        bool look = false;
        for (int i = 0; i < count; i++) {
            if (ready[i].data.ptr == &signals)
                must((int)read(signals, &signal, sizeof(signal)), "read signalfd");
            else if (ready[i].data.ptr == &listener)
                admit();
            else if (ready[i].data.ptr != &timer)
                serve(ready[i].data.ptr);
            look |= ready[i].data.ptr == &timer || ready[i].data.ptr == &listener;
        }
        if (look) // after the batch, which may hold an event of a client that is due
            expire();
    }
    printf("signal %u\n", signal.ssi_signo);
}
