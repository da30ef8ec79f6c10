// SPDX-License-Identifier: MIT
// Level-triggered EPOLLRDHUP left in the mask. The peer has half-closed and does not read yet, so
// the server has output that it cannot send and has to wait. But EPOLLRDHUP stays true: epoll_wait
// returns at once, every time, with nothing that could be done.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    static char data[65536];
    while (send(p.server, data, sizeof(data), MSG_NOSIGNAL) > 0)
        ; // until the client's receive buffer and our send buffer are full
    shutdown(p.client, SHUT_WR);

    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLOUT | EPOLLRDHUP);
    int wakeups = 0;
    bool ending = false;
    for (long end = milliseconds() + SPAN_MS, left; (left = end - milliseconds()) > 0;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, (int)left) != 1)
            continue;
        wakeups++;
        if (event.events & EPOLLOUT)
            send(p.server, data, sizeof(data), MSG_NOSIGNAL);
        if (event.events & EPOLLRDHUP)
            ending = true; // to be closed when the output is sent
        if (ending && cured)
            watch(loop, EPOLL_CTL_MOD, p.server, EPOLLOUT); // the cure
    }
    printf("half-close %s, wakeups in %d ms: %d\n", ending ? "seen" : "missed", SPAN_MS, wakeups);
    return wakeups > 20;
}
