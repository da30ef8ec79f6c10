// SPDX-License-Identifier: MIT
// What is proved of life.c: every life is followed by one of the lives, none by an earlier one but
// WRITING by READING, and nothing that is owed is given up.
#include "prove.h"

#include "core/life.c"

/*@ predicate is_open(enum life life) =
      life == LIFE_OPENING || life == LIFE_READING || life == LIFE_WRITING;
*/

/*@ requires \valid_read(balance);
    terminates \true;
    assigns \nothing;
    ensures \result == LIFE_WRITING <==> balance->unsent || balance->outcome == TURN_AGAIN;
    ensures \result == LIFE_FLUSHING <==>
            !balance->unsent && balance->outcome != TURN_AGAIN &&
            (balance->outcome == TURN_CLOSE || balance->ended || balance->over);
    ensures \result == LIFE_OPENING ==> balance->opening;
    ensures \result == LIFE_READING ==> !balance->opening;
    ensures is_open(\result) || \result == LIFE_FLUSHING;
*/
static enum life after_turn(const struct balance *balance);
PROVED(after_turn);

/*@ requires \valid_read(balance) && balance->outcome <= TURN_CLOSE;
    requires life < LIVES && balance->outcome != TURN_FACTS;
    terminates \true;
    assigns \nothing;
    ensures 0 <= \result < LIVES;
    // What is unsent is sent, and a turn that is used up gets another one.
    ensures is_open(life) && (balance->unsent || balance->outcome == TURN_AGAIN) ==>
            \result == LIFE_WRITING;
    // Whoever is read from is owed nothing, and may send more.
    ensures \result == LIFE_READING <==>
            is_open(life) && !balance->unsent && balance->outcome == TURN_MORE && !balance->ended &&
                !balance->over && !balance->opening;
    // Once nothing more is answered, there is no way back.
    ensures !is_open(life) ==> \result >= life;
    // Nothing is closed before the kernel has sent all and the client has ended.
    ensures \result == LIFE_CLOSED <==>
            life == LIFE_CLOSED || (life == LIFE_GOODBYE && balance->ended) ||
                (life == LIFE_FLUSHING && balance->flushed && balance->ended);
*/
enum life life_after(enum life life, const struct balance *balance);
PROVED(life_after);
