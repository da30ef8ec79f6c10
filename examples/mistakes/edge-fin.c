// SPDX-License-Identifier: MIT
// Edge trigger, a loop that stops at a short read (which saves the last recv() of each round), and
// no EPOLLRDHUP: when data and FIN arrive together, the one event is used up by the data, and the
// end of file is never seen. The connection stays half-open for ever.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    deliver(p.client, p.server, "last words\n", 11);
    shutdown(p.client, SHUT_WR);
    must(poll(&(struct pollfd){p.server, POLLRDHUP, 0}, 1, -1), "poll"); // now both are here
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET | (cured ? EPOLLRDHUP : 0));

    bool ended = false;
    struct epoll_event event;
    while (!ended && epoll_wait(loop, &event, 1, PATIENCE_MS) == 1) {
        char buffer[1024];
        ssize_t n;
        do {
            n = recv(p.server, buffer, sizeof(buffer), 0);
            ended = n == 0;
        } while (n == sizeof(buffer) || (n > 0 && (event.events & EPOLLRDHUP))); // the cure
    }
    printf("end of file %s\n", ended ? "seen" : "there, and not seen: nobody closes this socket");
    return !ended;
}
