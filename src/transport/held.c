// SPDX-License-Identifier: MIT
#include "transport/held.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_ROOM_MIN = 64 };

const struct held *held_of(const struct held *held)
{
    static const struct held none = {.outcome = TURN_MORE};

    return held ? held : &none;
}

static struct held *create(struct conn *conn)
{
    struct held *held = malloc(sizeof *held);

    if (!held)
        return NULL;
    *held = (struct held){.conn = conn};
    timeout_init(&held->line);
    return held;
}

bool held_reserve(struct held **held, struct conn *conn, size_t *given_back, size_t size)
{
    struct held *own = *held ? *held : create(conn);
    size_t room = HELD_ROOM_MIN;

    *held = own;
    if (!own)
        return false;
    while (room < size)
        room *= 2;
    if (own->room >= room && own->room / 4 <= room)
        return true;
    char *bytes = realloc(own->bytes, room);
    if (!bytes)
        return false;
    if (room < own->room)
        *given_back += own->room;
    own->bytes = bytes;
    own->room = room;
    return true;
}

bool held_keep(struct held **held, struct conn *conn, size_t *given_back,
               const struct memory *memory, const struct turn *turn, enum outcome outcome)
{
    size_t output = turn->reply.length;
    size_t input = outcome == TURN_CLOSE ? 0 : turn->length - turn->done;

    if (output + input == 0 && (memory_empty(memory) || outcome == TURN_CLOSE)) {
        held_drop(held, given_back);
        return true;
    }
    if (!held_reserve(held, conn, given_back, output + input))
        return false;
    (*held)->memory = *memory;
    (*held)->outcome = outcome;
    (*held)->sent = 0;
    (*held)->output = output;
    (*held)->input = input;
    if (output > 0)
        memcpy((*held)->bytes, turn->reply.bytes, output);
    memcpy((*held)->bytes + output, turn->input + turn->done, input);
    return true;
}

void held_drop(struct held **held, size_t *given_back)
{
    if (!*held)
        return;
    *given_back += (*held)->room;
    timeout_stop(&(*held)->line);
    free((*held)->bytes);
    free(*held);
    *held = NULL;
}
