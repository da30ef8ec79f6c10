// SPDX-License-Identifier: MIT
// Edge trigger without a drain loop: what one read leaves behind is never reported again.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET);
    char message[4000] = "";
    deliver(p.client, p.server, message, sizeof(message)); // one arrival, one edge

    struct epoll_event event;
    int events = 0;
    while (epoll_wait(loop, &event, 1, PATIENCE_MS) == 1) {
        char buffer[1024];
        ssize_t n;
        events++;
        do
            n = recv(event.data.fd, buffer, sizeof(buffer), 0);
        while (cured && n > 0); // the cure: go on until EAGAIN
    }
    printf("%d event, and no further one in %d ms: %d of 4000 bytes were never read\n", events,
           PATIENCE_MS, unread(p.server));
    return unread(p.server) > 0;
}
