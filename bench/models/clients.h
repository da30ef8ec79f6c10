// SPDX-License-Identifier: MIT
// clients: the clients of a model that asks the kernel which of them are ready, found by their
// descriptor. What cannot be sent at once is kept, and a client that does not read is not read
// from.
#ifndef CLIENTS_H
#define CLIENTS_H

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

struct client {
    char *unsent; // NULL: nothing
    size_t length;
};

// The client is gone: -1. It is to be waited for until it can be written to: 1; or read from: 0.
static inline int client_read(int fd, struct client *client, char *bytes)
{
    ssize_t got = recv(fd, bytes, MODEL_BUFFER_BYTES, 0);

    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        return -1;
    ssize_t sent = send(fd, bytes, (size_t)got, MSG_NOSIGNAL);
    if (sent == got)
        return 0;
    if (sent < 0 && errno != EAGAIN)
        return -1;
    sent = sent < 0 ? 0 : sent;
    client->length = (size_t)(got - sent);
    client->unsent = malloc(client->length);
    if (!client->unsent)
        return -1;
    memcpy(client->unsent, bytes + sent, client->length);
    return 1;
}

// The same for a client that waits to be written to.
static inline int client_write(int fd, struct client *client)
{
    ssize_t sent = send(fd, client->unsent, client->length, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return -1;
    sent = sent < 0 ? 0 : sent;
    client->length -= (size_t)sent;
    memmove(client->unsent, client->unsent + sent, client->length);
    if (client->length > 0)
        return 1;
    free(client->unsent);
    client->unsent = NULL;
    return 0;
}

// One turn of a ready client.
static inline int client_turn(int fd, struct client *client, char *bytes)
{
    return client->unsent ? client_write(fd, client) : client_read(fd, client, bytes);
}

static inline void client_close(int fd, struct client *client)
{
    free(client->unsent);
    client->unsent = NULL;
    close(fd);
}

#endif
