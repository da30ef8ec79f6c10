// SPDX-License-Identifier: MIT
// model: what every model server needs. A model is the smallest honest server of its design. It
// sends back what it reads without looking at it, which for whole lines is the same echo, and less
// work than a server that looks for their ends has to do; nothing is dropped, and who does not
// read is not read from. Socket options are those of epoll-echo.
#ifndef MODEL_H
#define MODEL_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { MODEL_BUFFER_BYTES = 65536, MODEL_BACKLOG = 4096 };

static inline void model_check(long result, const char *call)
{
    if (result < 0) {
        perror(call);
        exit(EXIT_FAILURE);
    }
}

static inline void model_set(int fd, int level, int name, int value)
{
    model_check(setsockopt(fd, level, name, &value, sizeof value), "setsockopt");
}

// A dual-stack socket of TYPE, bound to the port that the command line names; a stream listens,
// and its connections inherit TCP_NODELAY. Says which port it is.
static inline int model_socket(int argc, char *argv[], int type)
{
    int fd = socket(AF_INET6, type, 0);
    char *end = "";
    long port = argc > 1 ? strtol(argv[1], &end, 10) : 0;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    socklen_t length = sizeof address;
    struct rlimit limit;

    if (*end || port < 0 || port > UINT16_MAX) {
        fprintf(stderr, "%s is not a port\n", argv[1]);
        exit(2);
    }
    model_check(fd, "socket");
    model_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    model_check(bind(fd, (const struct sockaddr *)&address, length), "bind");
    if ((type & 0xf) == SOCK_STREAM) {
        model_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        model_check(listen(fd, MODEL_BACKLOG), "listen");
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    model_check(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
    printf("listening %d\n", ntohs(address.sin6_port));
    fflush(stdout);
    return fd;
}

#endif
