// SPDX-License-Identifier: MIT
// relay: when everything is handed over, and to whom: the process that the service manager starts
// next, or the program's file, which this process becomes.
#pragma once

#include <stdbool.h>

#include "system/flight.h"
#include "system/loop.h"
#include "system/notify.h"
#include "system/successor.h"
#include "transport/ports.h"

struct relay {
    struct ports *ports;
    struct notify *notify;
    struct successor successor;
    struct flight flight; // for the process that the manager starts next
    struct watch trial;   // of the successor; its fd is -1: none is under way
    bool due;             // between turns, when every connection is at rest
};

// PORTS, NOTIFY and main's ARGUMENTS have to last. relay_close closes what is opened later.
void relay_init(struct relay *relay, struct ports *ports, struct notify *notify, char *arguments[]);
void relay_close(struct relay *relay);

// What a manager is to be left with is opened before there is a sandbox: 0, or -1 with errno.
int relay_open(struct relay *relay);

// The program that may go on in this one's place; NULL where a manager starts the next process.
const char *relay_successor(const struct relay *relay);

// SIGUSR2: relay_turn hands over, once a successor has shown that it can go on. Where that fails,
// the log says so, and all is as before.
void relay_ask(struct relay *relay);

enum relay_end {
    RELAY_NOT,    // this process goes on
    RELAY_DONE,   // it has nothing any more
    RELAY_FAILED, // the manager waits for its end, and has been left with nothing
};

// To be called between turns. Does not come back where this process becomes its successor.
enum relay_end relay_turn(struct relay *relay);
