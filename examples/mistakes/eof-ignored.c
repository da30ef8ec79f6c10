// SPDX-License-Identifier: MIT
// No check for end of file: recv() returns 0 and the loop takes it for "nothing to echo". The
// level-triggered descriptor stays readable, so the loop spins, and the client, which waits for
// the other half of the goodbye, never gets it.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN);
    shutdown(p.client, SHUT_WR);
    must(poll(&(struct pollfd){p.server, POLLIN, 0}, 1, -1), "poll"); // the FIN is here

    struct epoll_event event;
    char buffer[64];
    int wakeups = 0;
    for (long end = milliseconds() + SPAN_MS, left; (left = end - milliseconds()) > 0;) {
        if (epoll_wait(loop, &event, 1, (int)left) != 1)
            continue;
        wakeups++;
        ssize_t n = recv(event.data.fd, buffer, sizeof(buffer), 0);
        if (n > 0)
            send(event.data.fd, buffer, (size_t)n, MSG_NOSIGNAL);
        else if (n == 0 && cured)
            close(event.data.fd); // the cure
    }
    bool goodbye = poll(&(struct pollfd){p.client, POLLIN, 0}, 1, cured ? -1 : 0) == 1;
    printf("wakeups in %d ms: %d; the client %s\n", SPAN_MS, wakeups,
           goodbye ? "got its end of file" : "still waits for its end of file");
    return !goodbye;
}
