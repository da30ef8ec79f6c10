// SPDX-License-Identifier: MIT
// Level-triggered EPOLLOUT in the mask while there is nothing to send: an idle socket is writable
// all the time, so the loop never sleeps.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    size_t owed = 0;
    // The cure: EPOLLOUT only while output is owed. It is added when send() says EAGAIN, or takes
    // less than it was given, and taken away when the rest is sent.
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | (cured && owed == 0 ? 0 : EPOLLOUT));

    int wakeups = 0;
    for (long end = milliseconds() + SPAN_MS, left; (left = end - milliseconds()) > 0;) {
        struct epoll_event event;
        wakeups += epoll_wait(loop, &event, 1, (int)left) == 1;
    }
    printf("an idle connection: wakeups in %d ms: %d\n", SPAN_MS, wakeups);
    return wakeups > 20;
}
