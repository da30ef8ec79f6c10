// SPDX-License-Identifier: MIT
// client: TCP clients of every behaviour: they talk, flood, stall, half-close, reset, never read.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fifo.h"

struct client;

void client_begin(void);
// Senders of datagrams: whether there are any in this universe, and how many, is chosen.
void sender_begin(void);
void client_finish_all(void);

// A client that comes at START; a STOPPER asks the server to end.
void client_create(uint64_t start, bool stopper);

// Something has happened at its socket.
void client_poke(struct client *client);

// What a client says: lines of every length, commands, floods, rubbish.
enum talk_kind {
    TALK_LINES,
    TALK_COMMANDS,
    TALK_FLOOD,
    TALK_LONG,
    TALK_TRICKLE,
    TALK_ENDLESS,
    TALK_SILENT
};

struct talk {
    enum talk_kind kind;
    size_t line_max, budget; // bytes; 0: it has said all
    const char *text;        // only that; or NULL
    bool unterminated;       // at the end
    bool faults;             // also asks for some
};

void talk_begin(struct talk *talk, size_t line_max);

// Adds the next message to OUT.
void talk_next(struct talk *talk, struct fifo *out);

// Adds a command of the role faulty.
void talk_fault(struct fifo *out);

// A command, mostly a real one.
const char *talk_command(void);
