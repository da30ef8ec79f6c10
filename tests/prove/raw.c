// SPDX-License-Identifier: MIT
// What is proved of raw.c: all of the input is the reply, and it stays where it is.
#include "prove.h"

#include "turn.h"

#include "roles/raw.c"

/*@ requires \valid(turn) && turn->length <= 0x7fffffff && turn->reply.length == 0;
    terminates \true;
    assigns turn->reply.bytes \from turn->input;
    assigns turn->done, turn->begun, turn->reply.length;
    ensures \result == TURN_MORE && turn->done == turn->length && turn->begun == NOTHING_BEGUN;
    ensures turn->reply.bytes == turn->input && turn->reply.length == turn->length;
*/
static enum outcome raw_stream(struct memory *memory, struct turn *turn);
PROVED(raw_stream);

/*@ requires \valid(turn) && turn->length <= 0x7fffffff && turn->reply.length == 0;
    terminates \true;
    assigns turn->reply.bytes \from turn->input;
    assigns turn->done, turn->begun, turn->reply.length;
    ensures \result == TURN_MORE && turn->done == turn->length;
    ensures turn->reply.bytes == turn->input && turn->reply.length == turn->length;
*/
static enum outcome raw_datagram(struct turn *turn);
PROVED(raw_datagram);
