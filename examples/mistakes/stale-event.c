// SPDX-License-Identifier: MIT
// A stale event in the batch. Handling the first event closes another connection; its number is
// free and goes to a new client; the second event, which was about the old connection, is still in
// the array and now hits the new client.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int listener = listen_on(NULL);
    struct pair admin = connect_pair(listener), old = connect_pair(listener);
    connect_to(listener); // a client that waits in the queue
    int new = -1;
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, admin.server, EPOLLIN);
    watch(loop, EPOLL_CTL_ADD, old.server, EPOLLIN | EPOLLRDHUP);
    deliver(admin.client, admin.server, "close the other one\n", 20);
    shutdown(old.client, SHUT_WR);
    must(poll(&(struct pollfd){old.server, POLLRDHUP, 0}, 1, -1), "poll");

    struct epoll_event ready[8];
    int count = epoll_wait(loop, ready, 8, -1);
    for (int i = 0; i < count; i++) {
        if (ready[i].events == 0)
            continue;
        if (ready[i].data.fd == admin.server) {
            close(old.server);
            for (int k = i + 1; cured && k < count; k++) // the cure: its events go with it
                if (ready[k].data.fd == old.server)
                    ready[k].events = 0;
            new = must(accept4(listener, NULL, NULL, SOCK_NONBLOCK), "accept4");
        } else if (ready[i].events & EPOLLRDHUP) {
            close(ready[i].data.fd); // its peer has gone. Whose?
        }
    }
    bool victim = fcntl(new, F_GETFD) < 0;
    printf("%d events; the new client, with %s number, %s\n", count,
           new == old.server ? "the old" : "another", victim ? "was closed" : "is connected");
    return victim;
}
