// SPDX-License-Identifier: MIT
// No descriptors left: accept() fails with EMFILE, the client stays in the queue, and the
// level-triggered listener reports it again at once.
#include "mistake.h"

#include <sys/resource.h>

// The cure: a reserve descriptor. It is given up, so that the client can be accepted and closed,
// and then taken again: the queue empties, and the client knows.
static void turn_away(int listener, int *reserve)
{
    close(*reserve);
    close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    *reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int reserve = must(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
    int listener = listen_on(NULL);
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, listener, EPOLLIN);
    rlim_t limit = (rlim_t)connect_to(listener) + 1; // no further descriptor than the client's
    must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit}), "setrlimit");

    int wakeups = 0, error = 0;
    for (long end = milliseconds() + SPAN_MS, left; (left = end - milliseconds()) > 0;) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, (int)left) != 1)
            continue;
        wakeups++;
        if (accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0) {
            error = errno;
            if (error == EMFILE && cured)
                turn_away(listener, &reserve);
        }
    }
    printf("%s: wakeups in %d ms: %d\n", strerror(error), SPAN_MS, wakeups);
    return wakeups > 20;
}
