// SPDX-License-Identifier: MIT
// A blocking socket. The drain loop ends with the call that finds nothing; on a blocking socket
// that call sleeps, and the whole loop with it. A timer stands here for the operator who comes to
// look, since nothing else would ever wake it.
#include "mistake.h"

#include <signal.h>
#include <sys/time.h>

static void come_to_look(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int listener = listen_on(NULL);
    struct pair first = connect_pair(listener), second = connect_pair(listener);
    // connect_pair() makes non-blocking sockets, the cure; a plain accept() makes this:
    must(cured ? 0 : fcntl(first.server, F_SETFL, 0), "fcntl");
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, first.server, EPOLLIN | EPOLLET);
    watch(loop, EPOLL_CTL_ADD, second.server, EPOLLIN | EPOLLET);
    deliver(first.client, first.server, "one\n", 4);
    deliver(second.client, second.server, "two\n", 4);

    struct sigaction action = {.sa_handler = come_to_look}; // without SA_RESTART: EINTR
    struct itimerval timer = {{0, PATIENCE_MS * 1000}, {0, PATIENCE_MS * 1000}};
    sigaction(SIGALRM, &action, NULL);
    if (!cured)
        setitimer(ITIMER_REAL, &timer, NULL);
    struct epoll_event ready[2];
    int count = epoll_wait(loop, ready, 2, -1);
    for (int i = 0; i < count; i++) {
        char buffer[64];
        while (recv(ready[i].data.fd, buffer, sizeof(buffer), 0) > 0)
            ; // until EAGAIN
        if (errno == EINTR) {
            printf("the loop slept in recv(); meanwhile the other client waited with %d bytes\n",
                   unread(second.server));
            return 1;
        }
    }
    printf("both clients served\n");
    return 0;
}
