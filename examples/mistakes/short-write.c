// SPDX-License-Identifier: MIT
// Output dropped on a short write: send() on a non-blocking socket takes what fits and says how
// much that was. Who does not look loses the rest.
#include "mistake.h"

enum { TOTAL = 16 << 20 };

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    char *data = calloc(1, TOTAL);
    size_t sent = 0, received = 0;
    int client = epoll_create1(EPOLL_CLOEXEC); // both ends are in this process: a loop for each
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLOUT);
    watch(client, EPOLL_CTL_ADD, p.client, EPOLLIN);
    watch(loop, EPOLL_CTL_ADD, client, EPOLLIN); // and an epoll instance can be watched, too

    for (ssize_t n = -1; n != 0;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == p.server) {
            n = send(p.server, data + sent, TOTAL - sent, MSG_NOSIGNAL);
            // The cure: remember where to go on, and wait for EPOLLOUT.
            sent = cured ? sent + (n > 0 ? (size_t)n : 0) : TOTAL;
            if (sent == TOTAL)
                close(p.server);
        } else {
            n = recv(p.client, data, TOTAL, 0);
            received += n > 0 ? (size_t)n : 0;
        }
    }
    printf("the server sent %d bytes, the client received %s of them\n", TOTAL,
           received == TOTAL  ? "all"
           : received < TOTAL ? "only a part"
                              : "more");
    free(data);
    return received != TOTAL;
}
