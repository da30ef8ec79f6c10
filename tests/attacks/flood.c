// SPDX-License-Identifier: MIT
// flood: attacks a TCP echo server on 127.0.0.1 with as many connections as it is told, until its
// standard input ends. Prints "begun" when the first answer has come, or where none will, the first
// text has gone; and at the end what came of it as key=value pairs.
//
//     flood pipeline PORT CONNECTIONS TEXT
//         Each sends TEXT again and again without waiting for answers, and reads what comes.
//     flood discard PORT CONNECTIONS TEXT
//         The same to a port that answers nothing.
//     flood connect PORT CONNECTIONS TEXT
//         So many at a time connect, send TEXT and read up to the end, and again. They are expected
//         to be turned away: told counts those that got the right words and a clean end.
//
// One thread and one epoll loop, cheap enough to fill a server that has a core to itself.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 65536,
    BATCH = 256,
    SOURCES = 200,       // loopback addresses to connect from: one alone has too few ports
    SOURCE_USES = 10000, // connections from each before the next
};

static const char expected[] = "Server Busy\n";

struct client {
    int fd;
    char answer[sizeof expected]; // its beginning
    size_t length;
};

struct flood {
    struct sockaddr_in server;
    bool pipeline, discard;
    int epoll;
    char block[BLOCK_BYTES], waste[4 * BLOCK_BYTES];
    size_t block_length;
    unsigned long connected, sent, received, told, failed;
};

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static void open_client(struct flood *flood, struct client *client)
{
    uint32_t source = (uint32_t)(flood->connected++ / SOURCE_USES % SOURCES);
    struct sockaddr_in local = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};

    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    int late = 1; // the port is chosen by connect, when both ends are known
    if (client->fd < 0 ||
        setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late) < 0 ||
        bind(client->fd, (struct sockaddr *)&local, sizeof local) < 0 ||
        (connect(client->fd, (struct sockaddr *)&flood->server, sizeof flood->server) < 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(flood->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
        fail("flood: connect");
}

// Reads what there is: false at the end, which is clean if *ERROR is 0.
static bool read_some(struct flood *flood, struct client *client, int *error)
{
    ssize_t got = recv(client->fd, flood->waste, sizeof flood->waste, 0);

    *error = got < 0 ? errno : 0;
    if (got < 0)
        return errno == EAGAIN;
    for (size_t i = 0; i < (size_t)got && client->length < sizeof client->answer; i++)
        client->answer[client->length++] = flood->waste[i];
    flood->received += (unsigned long)got;
    return got > 0;
}

static void start_again(struct flood *flood, struct client *client, int error)
{
    if (error == 0 && client->length == sizeof expected - 1 &&
        memcmp(client->answer, expected, client->length) == 0)
        flood->told++;
    else
        flood->failed++;
    close(client->fd);
    open_client(flood, client);
}

// Whatever the kernel takes of a block, the next begins anew: what counts is that lines end.
// Without pipelining, the text goes out once, and after that only the connection's end is waited
// for.
static void pour(struct flood *flood, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    ssize_t sent = send(client->fd, flood->block, flood->block_length, MSG_NOSIGNAL);

    if (sent > 0)
        flood->sent += (unsigned long)sent;
    if (!flood->pipeline)
        epoll_ctl(flood->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void ready(struct flood *flood, struct client *client, uint32_t events)
{
    int error;

    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !read_some(flood, client, &error)) {
        start_again(flood, client, error);
        return;
    }
    if (events & EPOLLOUT)
        pour(flood, client);
}

static void run(struct flood *flood, struct client *clients, size_t count)
{
    struct epoll_event batch[BATCH];
    bool told = false;
    struct epoll_event input = {.events = EPOLLIN | EPOLLHUP, .data.ptr = NULL};

    if (epoll_ctl(flood->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0)
        fail("flood: standard input");
    for (size_t i = 0; i < count; i++)
        open_client(flood, &clients[i]);
    while (true) {
        int events = epoll_wait(flood->epoll, batch, BATCH, -1);

        for (int i = 0; i < events; i++) {
            if (!batch[i].data.ptr)
                return;
            ready(flood, batch[i].data.ptr, batch[i].events);
        }
        if (!told && (flood->discard ? flood->sent : flood->received) > 0) {
            told = true;
            puts("begun");
            fflush(stdout);
        }
    }
}

static void fill_block(struct flood *flood, const char *text)
{
    size_t length = strlen(text), room = flood->pipeline ? BLOCK_BYTES : length;

    while (length > 0 && flood->block_length + length <= room) {
        memcpy(flood->block + flood->block_length, text, length);
        flood->block_length += length;
    }
}

int main(int argc, char *argv[])
{
    static struct flood flood;

    if (argc != 5 || strlen(argv[4]) > BLOCK_BYTES) {
        fputs("Usage: flood pipeline|discard|connect PORT CONNECTIONS TEXT\n", stderr);
        return 2;
    }
    size_t count = strtoul(argv[3], NULL, 10);
    struct client *clients = calloc(count, sizeof *clients);
    flood.server = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    flood.discard = strcmp(argv[1], "discard") == 0;
    flood.pipeline = flood.discard || strcmp(argv[1], "pipeline") == 0;
    flood.epoll = epoll_create1(0);
    if (!clients || flood.epoll < 0)
        fail("flood");
    fill_block(&flood, argv[4]);
    run(&flood, clients, count);
    printf("connected=%lu sent=%lu received=%lu told=%lu failed=%lu\n", flood.connected, flood.sent,
           flood.received, flood.told, flood.failed);
    free(clients);
    return 0;
}
