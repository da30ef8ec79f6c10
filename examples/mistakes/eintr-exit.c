// SPDX-License-Identifier: MIT
// EINTR taken for a failure. epoll_wait() is never restarted after a signal handler, not even with
// SA_RESTART; a server that gives up there is ended by any signal that it meant to handle.
#include "mistake.h"

#include <signal.h>
#include <sys/time.h>

static void handle(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval timer = {{0, 20000}, {0, 20000}}; // every 20 ms
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);

    for (int interrupted = 0;;) {
        struct epoll_event event;
        int count = epoll_wait(loop, &event, 1, -1);
        if (count == 1) {
            printf("interrupted %d times, and the client was served\n", interrupted);
            return 0;
        }
        if (!cured || errno != EINTR) { // the cure: go on. (Or: signalfd, and no handlers)
            printf("epoll_wait: %s; the server exits\n", strerror(errno));
            return 1;
        }
        if (++interrupted == 3)
            send(p.client, "hello\n", 6, MSG_NOSIGNAL);
    }
}
