// SPDX-License-Identifier: MIT
// poll(2).
#include <poll.h>

#include "clients.h"

enum { CLIENTS_MAX = 1 << 20 };

static struct pollfd watched[CLIENTS_MAX]; // the listener is the first
static struct client clients[CLIENTS_MAX]; // by descriptor
static char bytes[MODEL_BUFFER_BYTES];

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
    int state = client_turn(fd, &clients[fd], bytes);

    watched[at].events = state == 0 ? POLLIN : POLLOUT;
    if (state < 0) {
        client_close(fd, &clients[fd]);
        watched[at] = watched[--count];
    }
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
