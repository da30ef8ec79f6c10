// SPDX-License-Identifier: MIT
// select(2): at most 1,024 descriptors.
#include <sys/select.h>

#include "clients.h"

static struct client clients[FD_SETSIZE];

static void turn(int fd, fd_set *read, fd_set *write)
{
    enum state state = client_turn(fd, &clients[fd]);

    FD_CLR(fd, read);
    FD_CLR(fd, write);
    if (state != STATE_GONE)
        FD_SET(fd, state == STATE_WRITE ? write : read);
}

static int take(int listener, int highest, fd_set *read)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FD_SETSIZE) {
            close(fd);
            continue;
        }
        FD_SET(fd, read);
        highest = fd > highest ? fd : highest;
    }
    return highest;
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    int highest = listener;
    fd_set read, write;

    FD_ZERO(&read);
    FD_ZERO(&write);
    FD_SET(listener, &read);
    for (;;) {
        fd_set readable = read, writable = write;
        int ready = select(highest + 1, &readable, &writable, NULL, NULL);

        for (int fd = 0; ready > 0 && fd <= highest; fd++) {
            if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable))
                continue;
            ready--;
            if (fd == listener)
                highest = take(listener, highest, &read);
            else
                turn(fd, &read, &write);
        }
    }
}
