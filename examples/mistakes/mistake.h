// SPDX-License-Identifier: MIT
// What each mistake needs: the switch, and both ends of a connection in one process.
//
// Every program here takes one argument, `broken` or `cured`, says what it saw, and exits with 1
// when it saw the failure and with 0 when it did not.
#ifndef MISTAKES_MISTAKE_H
#define MISTAKES_MISTAKE_H
#include "../common.h"

#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

enum {
    PATIENCE_MS = 300, // how long to wait for an event that may never come
    SPAN_MS = 200,     // how long wakeups are counted; a spin makes a hundred thousand in that time
};

struct pair {
    int client, server;
};

static inline bool is_cured(int argc, char **argv)
{
    bool cured = argc == 2 && strcmp(argv[1], "cured") == 0;
    if (!cured && (argc != 2 || strcmp(argv[1], "broken") != 0)) {
        fprintf(stderr, "usage: %s broken|cured\n", argv[0]);
        exit(2);
    }
    return cured;
}

// A non-blocking client that waits in the queue of the listener.
static inline int connect_to(int listener)
{
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    struct sockaddr_in at;
    socklen_t length = sizeof(at);
    must(getsockname(listener, (struct sockaddr *)&at, &length), "getsockname");
    must(connect(fd, (struct sockaddr *)&at, length), "connect");
    must(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
    return fd;
}

// Both ends of a connection in this process, non-blocking.
static inline struct pair connect_pair(int listener)
{
    struct pair p = {.client = connect_to(listener)};
    must(poll(&(struct pollfd){listener, POLLIN, 0}, 1, -1), "poll");
    p.server = must(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4");
    return p;
}

static inline struct pair tcp_pair(void)
{
    int listener = listen_on(NULL);
    struct pair p = connect_pair(listener);
    close(listener);
    return p;
}

static inline void watch(int loop, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    must(epoll_ctl(loop, operation, fd, &event), "epoll_ctl");
}

// How many bytes wait to be read.
static inline int unread(int fd)
{
    int count = 0;
    must(ioctl(fd, FIONREAD, &count), "FIONREAD");
    return count;
}

// Sends all of it, and returns when it has arrived at the other end.
static inline void deliver(int from, int to, const void *data, size_t length)
{
    must(send(from, data, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1, "send");
    must(setsockopt(to, SOL_SOCKET, SO_RCVLOWAT, &(int){(int)length}, sizeof(int)), "SO_RCVLOWAT");
    must(poll(&(struct pollfd){to, POLLIN, 0}, 1, -1), "poll");
    must(setsockopt(to, SOL_SOCKET, SO_RCVLOWAT, &(int){1}, sizeof(int)), "SO_RCVLOWAT");
}

// Returns when a child that has nothing else to do sleeps in the call that it sleeps in.
static inline void until_asleep(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *file = fopen(path, "r");
        must(file && fscanf(file, "%*d %*s %c", &state) == 1 ? 0 : -1, path);
        fclose(file);
    }
}

static inline long milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
#endif
