// SPDX-License-Identifier: MIT
// close() without EPOLL_CTL_DEL while a duplicate is open. epoll watches the open file, not its
// number: as long as a dup(), a forked child or a descriptor store holds the file, its events go
// on, with a data.ptr to an object that is gone, and the closed number can no longer be removed.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN);
    int copy = must(dup(p.server), "dup"); // as fork() makes it, for example
    if (cured)
        must(epoll_ctl(loop, EPOLL_CTL_DEL, p.server, NULL), "EPOLL_CTL_DEL"); // the cure
    close(p.server);
    deliver(p.client, copy, "hello\n", 6);

    struct epoll_event event;
    bool haunted = epoll_wait(loop, &event, 1, PATIENCE_MS) == 1;
    if (haunted && epoll_ctl(loop, EPOLL_CTL_DEL, p.server, NULL) < 0)
        printf("an event for the closed descriptor; removing it now: %s\n", strerror(errno));
    else
        printf("no event for the closed descriptor in %d ms\n", PATIENCE_MS);
    return haunted;
}
