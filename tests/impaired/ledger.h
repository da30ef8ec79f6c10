// SPDX-License-Identifier: MIT
// ledger: which numbered datagrams went to the server, and how often it answered each.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

enum { LEDGER_PORT = 12345, LEDGER_NUMBERS = 4096 };

struct ledger {
    uint32_t asked[LEDGER_NUMBERS], answered[LEDGER_NUMBERS];
    bool in_pieces[LEDGER_NUMBERS]; // whether all of them have arrived is not known
};

void ledger_asked(struct ledger *ledger, const uint8_t *bytes, size_t length);
void ledger_answered(struct ledger *ledger, const uint8_t *bytes, size_t length);

// EXCESS: answers that nobody had asked for.
struct ledger_sums {
    uint32_t asked, answered, excess, missing;
};

struct ledger_sums ledger_sum(const struct ledger *ledger);
