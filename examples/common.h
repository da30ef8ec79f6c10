// SPDX-License-Identifier: MIT
// What each example needs before its lesson begins: a listener on 127.0.0.1 and its clients.
// Include this first: accept4() needs _GNU_SOURCE.
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Ends the program when a call fails that cannot fail in a healthy one.
static inline int must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

// The number that a word of the command line is; what is none, or more than MOST, is an error: a
// cast would make 77881 port 12345.
static inline int number_of(const char *word, int most)
{
    char *end;
    long number = strtol(word, &end, 10);
    if (end == word || *end || number < 0 || number > most) {
        fprintf(stderr, "%s is not a number from 0 to %d\n", word, most);
        exit(2);
    }
    return (int)number;
}

// Listens on a port ("0": the kernel chooses) and says which it is. NULL: on any, silently.
static inline int listen_on(const char *port)
{
    int fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    at.sin_port = htons((uint16_t)(port ? number_of(port, UINT16_MAX) : 0));
    socklen_t length = sizeof(at);
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), "SO_REUSEADDR");
    must(bind(fd, (struct sockaddr *)&at, length), "bind");
    must(listen(fd, SOMAXCONN), "listen");
    must(getsockname(fd, (struct sockaddr *)&at, &length), "getsockname");
    if (port)
        printf("listening on %d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

// Takes one waiting client, as a zeroed object of that size that begins with its descriptor; NULL:
// there is none. Out of descriptors, the client would stay in the queue and wake a level-triggered
// loop for ever (mistakes/emfile-spin.c), so it is taken on a reserve descriptor and turned away.
static inline void *accept_client(int listener, size_t size)
{
    static int reserve = -1;
    if (reserve < 0)
        reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno == EMFILE) {
        close(reserve);
        close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
        reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    int *client = fd < 0 ? NULL : calloc(1, size);
    if (client)
        *client = fd;
    else if (fd >= 0)
        close(fd);
    return client;
}
#endif
