// SPDX-License-Identifier: MIT
// An edge-triggered listener and one accept for each event: when several clients arrive at once,
// all but one wait in the queue until the next one comes.
#include "mistake.h"

enum { CLIENTS = 5 };

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int listener = listen_on(NULL);
    for (int i = 0; i < CLIENTS; i++)
        connect_to(listener);

    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    // The cure: a listener is level-triggered, whatever its clients are. (The other one is to
    // accept until EAGAIN.)
    watch(loop, EPOLL_CTL_ADD, listener, cured ? EPOLLIN : EPOLLIN | EPOLLET);
    struct epoll_event event;
    int accepted = 0;
    while (accepted < CLIENTS && epoll_wait(loop, &event, 1, PATIENCE_MS) == 1)
        if (accept4(listener, NULL, NULL, SOCK_NONBLOCK) >= 0)
            accepted++;
    printf("%d of %d clients accepted\n", accepted, CLIENTS);
    return accepted < CLIENTS;
}
