// SPDX-License-Identifier: MIT
// UDP with one recvfrom and one sendto for each epoll_wait: what most tutorials show.
#include <sys/epoll.h>

#include "model.h"

int main(int argc, char *argv[])
{
    int fd = model_socket(argc, argv, SOCK_DGRAM | SOCK_NONBLOCK);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    static char bytes[MODEL_BUFFER_BYTES];

    model_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    for (;;) {
        struct sockaddr_in6 peer;
        socklen_t length = sizeof peer;

        epoll_wait(epoll, &event, 1, -1);
        ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &length);
        if (got >= 0)
            sendto(fd, bytes, (size_t)got, 0, (const struct sockaddr *)&peer, length);
    }
}
