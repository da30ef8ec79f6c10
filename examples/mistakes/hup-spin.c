// SPDX-License-Identifier: MIT
// EPOLLHUP and EPOLLERR are reported whether or not they were asked for. A connection that is
// paused with interest 0 and whose peer is lost wakes a loop that looks for EPOLLIN and EPOLLOUT
// only, for ever.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, 0); // paused: nothing is asked for
    // The client is lost: closing with "linger 0 seconds" sends a reset instead of a FIN.
    setsockopt(p.client, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(p.client);

    int wakeups = 0;
    uint32_t seen = 0;
    for (long end = milliseconds() + SPAN_MS, left; (left = end - milliseconds()) > 0;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, (int)left) != 1)
            continue;
        wakeups++;
        seen |= event.events;
        if (event.events & (EPOLLIN | EPOLLOUT))
            return 2; // did not ask for these
        if (cured && (event.events & (EPOLLHUP | EPOLLERR)))
            close(event.data.fd); // the cure: it ends the connection in every state
    }
    printf("interest 0, yet%s%s: wakeups in %d ms: %d\n", seen & EPOLLHUP ? " EPOLLHUP" : "",
           seen & EPOLLERR ? " EPOLLERR" : "", SPAN_MS, wakeups);
    return wakeups > 20;
}
