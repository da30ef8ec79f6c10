// SPDX-License-Identifier: MIT
// client: TCP clients of every behaviour: they talk, flood, stall, half-close, reset, never read.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct client;

void client_begin(void);
// Senders of datagrams: whether there are any in this universe, and how many, is chosen.
void sender_begin(void);
void client_finish_all(void);

// A client that comes at START; a STOPPER asks the server to end.
void client_create(uint64_t start, bool stopper);

// Something has happened at its socket.
void client_poke(struct client *client);
