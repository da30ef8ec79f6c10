// SPDX-License-Identifier: MIT
// trains: sends datagrams by UDP to 127.0.0.1, as many at once as the kernel cuts a message into,
// until its standard input ends, and throws away what comes back. Prints "begun" when the first
// have gone, and at the end how many have.
//
//     trains PORT TEXT
//
// Each datagram is TEXT.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRAIN_MAX = 64, TEXT_MAX_BYTES = 1000 };

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int connected(const char *port, size_t length)
{
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), segment = (int)length, least = 0;

    if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server) < 0 ||
        setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least) < 0) // what comes is dropped
        fail("trains: socket");
    return fd;
}

int main(int argc, char **argv)
{
    static char train[TRAIN_MAX * TEXT_MAX_BYTES];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    size_t length = argc == 3 ? strlen(argv[2]) : 0;
    unsigned long sent = 0;

    if (length == 0 || length > TEXT_MAX_BYTES) {
        fputs("usage: trains PORT TEXT\n", stderr);
        return 2;
    }
    int fd = connected(argv[1], length);
    for (size_t i = 0; i < TRAIN_MAX; i++)
        memcpy(train + i * length, argv[2], length);
    while (poll(&input, 1, 0) == 0) {
        if (send(fd, train, TRAIN_MAX * length, 0) > 0) {
            if (sent == 0) {
                puts("begun");
                fflush(stdout);
            }
            sent += TRAIN_MAX;
        } else if (errno != ECONNREFUSED && errno != ENOBUFS && errno != EINTR) {
            fail("trains: send");
        }
    }
    printf("sent=%lu\n", sent);
}
