// SPDX-License-Identifier: MIT
// EPOLLONESHOT without arming again: the first line is answered, the second one never.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLONESHOT);

    int served = 0;
    for (int line = 0; line < 2; line++) {
        struct epoll_event event;
        char buffer[64];
        deliver(p.client, p.server, "line\n", 5);
        if (epoll_wait(loop, &event, 1, PATIENCE_MS) == 1 &&
            recv(p.server, buffer, sizeof(buffer), 0) == 5)
            served++;
        if (cured) // the cure
            watch(loop, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLONESHOT);
    }
    printf("%d of 2 lines served, %d bytes unread\n", served, unread(p.server));
    return served < 2;
}
