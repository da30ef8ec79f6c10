// SPDX-License-Identifier: MIT
// An object behind data.ptr that is not freed on close: epoll forgets the pointer together with
// the descriptor, and nobody else knows it.
#include "mistake.h"

struct client {
    int fd;
    char data[16384];
};

static long resident_kilobytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    must(file && fscanf(file, "%*d %ld", &pages) == 1 ? 0 : -1, "/proc/self/statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int listener = listen_on(NULL);
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    long before = resident_kilobytes();
    for (int i = 0; i < 1000; i++) {
        struct pair p = connect_pair(listener);
        struct client *c = malloc(sizeof(*c));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        must(c ? 0 : -1, "malloc");
        memset(c, 0, sizeof(*c));
        c->fd = p.server;
        must(epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
        close(p.client);
        must(epoll_wait(loop, &event, 1, -1), "epoll_wait"); // end of file
        c = event.data.ptr;
        close(c->fd);
        if (cured)
            free(c); // the cure: the close of the descriptor is the end of the object
    }
    long growth = resident_kilobytes() - before;
    printf("1000 clients came and went: %s\n",
           growth > 8192 ? "more than 8 MB larger" : "no larger than before");
    return growth > 8192;
}
