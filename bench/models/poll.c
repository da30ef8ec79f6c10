// SPDX-License-Identifier: MIT
// poll(2).
#include <poll.h>

#include "clients.h"

static struct pollfd watched[CLIENTS_MAX]; // the listener is the first
static struct client clients[CLIENTS_MAX]; // by descriptor

static nfds_t take(int listener, nfds_t count)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        watched[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return count;
}

static nfds_t turn(nfds_t at, nfds_t count)
{
    int fd = watched[at].fd;
    enum state state = client_turn(fd, &clients[fd]);

    watched[at].events = state == STATE_WRITE ? POLLOUT : POLLIN;
    if (state == STATE_GONE)
        watched[at] = watched[--count];
    return count;
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    nfds_t count = 1;

    watched[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        int ready = poll(watched, count, -1);

        // From the end, for the last one takes the place of one that is closed.
        for (nfds_t at = count; ready > 0 && at-- > 0;) {
            if (watched[at].revents == 0)
                continue;
            ready--;
            count = at == 0 ? take(listener, count) : turn(at, count);
        }
    }
}
