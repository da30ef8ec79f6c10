// SPDX-License-Identifier: MIT
#include "ledger.h"

#include <netinet/in.h>

// The number of a datagram: its first four bytes. False if it has none.
static bool number_of(const uint8_t *bytes, size_t length, struct packet *packet, uint32_t *number)
{
    if (!packet_look(bytes, length, packet) || packet->protocol != IPPROTO_UDP || !packet->first ||
        packet->data + 4 > length)
        return false;
    const uint8_t *at = bytes + packet->data;
    *number = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return *number < LEDGER_NUMBERS;
}

void ledger_asked(struct ledger *ledger, const uint8_t *bytes, size_t length)
{
    struct packet packet;
    uint32_t number;

    if (!number_of(bytes, length, &packet, &number) || packet.target != LEDGER_PORT)
        return;
    ledger->asked[number]++;
    if (!packet.whole)
        ledger->in_pieces[number] = true;
}

void ledger_answered(struct ledger *ledger, const uint8_t *bytes, size_t length)
{
    struct packet packet;
    uint32_t number;

    if (number_of(bytes, length, &packet, &number) && packet.source == LEDGER_PORT)
        ledger->answered[number]++;
}

static uint32_t beyond(uint32_t a, uint32_t b)
{
    return a > b ? a - b : 0;
}

struct ledger_sums ledger_sum(const struct ledger *ledger)
{
    struct ledger_sums sums = {.asked = 0};

    for (size_t i = 0; i < LEDGER_NUMBERS; i++) {
        sums.asked += ledger->asked[i];
        sums.answered += ledger->answered[i];
        sums.excess += beyond(ledger->answered[i], ledger->asked[i]);
        if (!ledger->in_pieces[i])
            sums.missing += beyond(ledger->asked[i], ledger->answered[i]);
    }
    return sums;
}
