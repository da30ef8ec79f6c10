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

// gcc 12's analyzer takes what is kept in an array, at a place unknown to it, for lost.
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

enum { CLIENTS_MAX = 1 << 20 };

struct client {
    char *unsent; // NULL: nothing
    size_t length;
};

enum state {
    STATE_GONE,
    STATE_READ,  // wait until it can be read from
    STATE_AGAIN, // the same, and there may be more already
    STATE_WRITE, // wait until it can be written to
};

static inline enum state client_keep(struct client *client, const char *bytes, size_t length)
{
    char *unsent = malloc(length);

    if (!unsent)
        return STATE_GONE;
    memcpy(unsent, bytes, length);
    *client = (struct client){unsent, length};
    return STATE_WRITE;
}

static inline enum state client_read(int fd, struct client *client)
{
    static char bytes[MODEL_BUFFER_BYTES];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);

    if (got <= 0)
        return got < 0 && errno == EAGAIN ? STATE_READ : STATE_GONE;
    ssize_t sent = send(fd, bytes, (size_t)got, MSG_NOSIGNAL);
    if (sent == got)
        return got == MODEL_BUFFER_BYTES ? STATE_AGAIN : STATE_READ;
    if (sent < 0 && errno != EAGAIN)
        return STATE_GONE;
    sent = sent < 0 ? 0 : sent;
    return client_keep(client, bytes + sent, (size_t)(got - sent));
}

static inline enum state client_write(int fd, struct client *client)
{
    ssize_t sent = send(fd, client->unsent, client->length, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN)
        return STATE_GONE;
    sent = sent < 0 ? 0 : sent;
    client->length -= (size_t)sent;
    memmove(client->unsent, client->unsent + sent, client->length);
    if (client->length > 0)
        return STATE_WRITE;
    free(client->unsent);
    client->unsent = NULL;
    return STATE_AGAIN;
}

// One turn of a ready client. One that is gone is closed.
static inline enum state client_turn(int fd, struct client *client)
{
    enum state state = client->unsent ? client_write(fd, client) : client_read(fd, client);

    if (state == STATE_GONE) {
        free(client->unsent);
        client->unsent = NULL;
        close(fd);
    }
    return state;
}

#endif
