// SPDX-License-Identifier: MIT
// Several processes, each with an epoll instance of its own, watch one listener: a single client
// wakes them all, and all but one wake in vain.
#include "mistake.h"

#include <signal.h>
#include <sys/wait.h>

enum { WORKERS = 4 };

static pid_t start_worker(int listener, uint32_t events, int report)
{
    pid_t pid = must(fork(), "fork");
    if (pid > 0)
        return pid;
    struct epoll_event event;
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, listener, events);
    must((int)write(report, "w", 1), "write"); // it waits
    must(epoll_wait(loop, &event, 1, -1), "epoll_wait");
    must((int)write(report, "!", 1), "write"); // it woke
    _exit(0);
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    uint32_t events = EPOLLIN | (cured ? (uint32_t)EPOLLEXCLUSIVE : 0); // the cure
    int listener = listen_on(NULL), report[2], woken = 0;
    pid_t workers[WORKERS];
    must(pipe(report), "pipe");
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = start_worker(listener, events, report[1]);
        must((int)read(report[0], &(char){0}, 1), "read");
        until_asleep(workers[i]);
    }
    connect_to(listener);
    while (woken < WORKERS && poll(&(struct pollfd){report[0], POLLIN, 0}, 1, 1000) == 1)
        woken += (int)read(report[0], &(char){0}, 1);
    for (int i = 0; i < WORKERS; i++) {
        kill(workers[i], SIGKILL);
        waitpid(workers[i], NULL, 0);
    }
    printf("one client woke %d of %d workers\n", woken, WORKERS);
    return woken == WORKERS;
}
