// SPDX-License-Identifier: MIT
// What is proved of discard.c: no byte of the input is read, which is not there, and nothing is
// answered.
#include "prove.h"

#include "turn.h"

#include "roles/discard.c"

/*@ requires \valid(turn);
    terminates \true;
    assigns turn->done, turn->begun;
    ensures \result == TURN_MORE && turn->done == turn->length && turn->begun == NOTHING_BEGUN;
*/
static enum outcome discard_stream(struct memory *memory, struct turn *turn);
PROVED(discard_stream);

/*@ requires \valid(turn);
    terminates \true;
    assigns turn->done;
    ensures \result == TURN_SILENT && turn->done == turn->length;
*/
static enum outcome discard_datagram(struct turn *turn);
PROVED(discard_datagram);
