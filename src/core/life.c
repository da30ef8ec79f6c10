// SPDX-License-Identifier: MIT
#include "core/life.h"

#include <assert.h>

static enum life after_turn(const struct balance *balance)
{
    if (balance->unsent || balance->outcome == TURN_AGAIN)
        return LIFE_WRITING;
    if (balance->outcome == TURN_WAIT)
        return LIFE_WAITING;
    if (balance->outcome == TURN_RESET)
        return LIFE_CLOSED;
    if (balance->outcome == TURN_CLOSE || balance->ended || balance->over)
        return LIFE_FLUSHING;
    return balance->opening ? LIFE_OPENING : LIFE_READING;
}

enum life life_after(enum life life, const struct balance *balance)
{
    assert(balance->outcome != TURN_FACTS);
    switch (life) {
    case LIFE_OPENING:
    case LIFE_READING:
    case LIFE_WRITING:
        return after_turn(balance);
    case LIFE_WAITING:
        return balance->due ? LIFE_WRITING : LIFE_WAITING;
    case LIFE_FLUSHING:
        if (!balance->flushed)
            return LIFE_FLUSHING;
        // A close(2) would turn what the client has not read yet into a reset if it is still
        // sending; where its FIN has come, nothing is unread, and close(2) sends ours.
        return balance->ended ? LIFE_CLOSED : LIFE_GOODBYE;
    case LIFE_GOODBYE:
        return balance->ended ? LIFE_CLOSED : LIFE_GOODBYE;
    default:
        return LIFE_CLOSED;
    }
}
