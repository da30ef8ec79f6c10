// SPDX-License-Identifier: MIT
// What is proved of echo.c: no byte outside the input is read, none outside the reply's buffer is
// written, no number wraps, every turn ends, and one whose input has ended answers all of it.
#include "prove.h"

#include "turn.h"

/*@ // The facts may be NULL. No gate is touched then, but where it would be counts as a place.
    predicate facts_fit(struct turn *turn, integer room) =
        \separated(turn, turn->facts, turn->facts->gate, turn->input + (0 .. turn->length - 1),
                   turn->reply.buffer + (0 .. room - 1)) &&
        (turn->facts == \null || (\valid_read(turn->facts) && \valid(turn->facts->gate)));

    // The buffer has the size that turn.h asks for, and nothing overlaps.
    predicate turn_fits(struct turn *turn) =
        1 <= turn->max_line <= 1048576 && turn->length <= 0x3fffffff && \valid(turn) &&
        \valid_read(turn->input + (0 .. turn->length - 1)) &&
        \valid(turn->reply.buffer + (0 .. turn->length + 262143)) &&
        \separated(turn, turn->input + (0 .. turn->length - 1),
                   turn->reply.buffer + (0 .. turn->length + 262143)) &&
        facts_fit(turn, turn->length + 262144);

    predicate memory_apart(struct memory *memory, struct turn *turn) =
        \separated(memory, turn, turn->input + (0 .. turn->length - 1),
                   turn->reply.buffer + (0 .. turn->length + 262143), turn->facts,
                   turn->facts->gate);

    // How far an answer to so many bytes reaches into the buffer at most: where nothing is in it,
    // echoes stay where they are.
    logic integer reach(struct turn *turn, integer length) =
        turn->reply.length + (turn->reply.length == 0 ? 0 : length) + TURN_TEXT_MAX_BYTES;

    // The length of a reply to so much of the input is bounded.
    predicate is_bounded(integer done, integer length, integer texts, integer reply) =
        done <= length && texts <= TURN_TEXTS_MAX && reply <= done + TURN_TEXT_MAX_BYTES * texts;

    // The reply is in its buffer, or it is the last bytes of so much of the input.
    predicate is_placed(char *bytes, integer reply, char *buffer, char *input, integer done) =
        reply == 0 || bytes == buffer || (reply <= done && bytes == input + (done - reply));
*/

// As macros, these show WP the members themselves and not the memory that they are in.
#define bounded_by(turn, done) is_bounded(done, turn->length, turn->reply.texts, turn->reply.length)
#define placed_by(turn, done)                                                                      \
    is_placed(turn->reply.bytes, turn->reply.length, turn->reply.buffer, turn->input, done)
#define bounded(turn) bounded_by(turn, turn->done)
#define placed(turn) placed_by(turn, turn->done)
// Each message is a byte that is done, or has a text: so they can be counted.
#define counted(turn) (turn->messages <= turn->done + turn->reply.texts)

// What is dropped follows an answer that is in the buffer, or nothing in this turn.
#define dropped(memory, turn)                                                                      \
    (!memory->discarding || turn->reply.length == 0 || turn->reply.bytes == turn->reply.buffer)

#include "roles/echo.c"

// Assumed of the next two, and asserted by reply_add: what is answered fits.
/*@ requires text_ok(text) && text->length == 0 && text->room == TURN_TEXT_MAX_BYTES;
    terminates \true;
    assigns text->length, text->bytes[0 .. text->room - 1];
    ensures text->length <= TURN_TEXT_MAX_BYTES;
*/
void text_string(struct text *text, const char *string);

/*@ requires length > 0 && \valid_read(message + (0 .. length - 1)) && message[0] == '/';
    requires \valid_read(facts) && \valid(facts->gate);
    requires reply_room(reply, TURN_TEXT_MAX_BYTES) && reply->texts < TURN_TEXTS_MAX;
    requires \separated(message + (0 .. length - 1), facts, facts->gate, reply,
                        reply->buffer + (0 .. reply->length + TURN_TEXT_MAX_BYTES - 1));
    terminates \true;
    assigns reply->bytes \from reply->buffer;
    assigns *facts->gate, reply->length, reply->texts, reply->told[0 .. TURN_TOLD_MAX - 1],
            reply->asked[0 .. COUNTED_COMMANDS_MAX - 1],
            reply->buffer[0 .. reply->length + TURN_TEXT_MAX_BYTES - 1];
    ensures reply->bytes == reply->buffer && reply->texts == \old(reply->texts) + 1;
    ensures reply->length <= \old(reply->length) + TURN_TEXT_MAX_BYTES;
*/
void command_answer(const char *message, size_t length, const struct facts *facts,
                    struct reply *reply);

/*@ requires length == 0 || \valid_read(message + (0 .. length - 1));
    terminates \true;
    assigns \nothing;
    ensures \result <==> length > 0 && message[0] == '/';
*/
static inline bool is_command(const char *message, size_t length);
PROVED(is_command);

/*@ requires 0 < length <= 0x7fffffff && 1 <= max_line <= 1048576;
    requires \valid_read(bytes + (0 .. length - 1));
    terminates \true;
    assigns \nothing;
    ensures \result <= length && \result <= max_line + 1;
    ensures \result > 0 ==> bytes[0] != '/' && bytes[\result - 1] == '\n';
*/
static size_t plain_lines(const char *bytes, size_t length, size_t max_line);
PROVED(plain_lines);

/*@ requires length <= 0x7fffffff && \valid_read(bytes + (0 .. length - 1));
    terminates \true;
    assigns \nothing;
    ensures \result <= length;
*/
static uint32_t count_lines(const char *bytes, size_t length);
PROVED(count_lines);

/*@ requires turn_fits(turn) && bounded(turn) && placed(turn) && counted(turn);
    requires \valid(memory) && memory_apart(memory, turn);
    requires turn->reply.texts < TURN_TEXTS_MAX;
    terminates \true;
    assigns turn->reply.bytes \from turn->reply.buffer;
    assigns memory->discarding, memory->overlong_before, turn->begun, turn->messages,
            turn->closing, turn->reply.length, turn->reply.texts,
            turn->reply.buffer[0 .. turn->reply.length + TURN_TEXT_MAX_BYTES - 1];
    ensures turn->reply.length <= \old(turn->reply.length) + TURN_TEXT_MAX_BYTES;
    ensures turn->reply.texts == \old(turn->reply.texts) + 1;
    ensures turn->reply.bytes == turn->reply.buffer;
    ensures turn->messages == \old(turn->messages) + 1;
    ensures memory->discarding != 0 && turn->begun == turn->done;
    ensures \result == TURN_CLOSE || \result == TURN_MORE;
*/
static enum outcome overlong(struct memory *memory, struct turn *turn);
PROVED(overlong);

/*@ requires \valid(memory) && \valid(turn) && turn->done < turn->length <= 0x3fffffff;
    requires \valid_read(turn->input + (0 .. turn->length - 1));
    requires \separated(memory, turn, turn->input + (0 .. turn->length - 1));
    terminates \true;
    assigns memory->discarding, turn->done;
    ensures \old(turn->done) < turn->done <= turn->length;
*/
static void discard(struct memory *memory, struct turn *turn);
PROVED(discard);

/*@ requires \valid(turn) && turn->reply.texts < TURN_TEXTS_MAX;
    // The message is the last of the input that is done, and the reply is one to what is before it.
    requires length <= turn->done <= turn->length <= 0x3fffffff;
    requires \valid_read(turn->input + (0 .. turn->length - 1));
    requires message == turn->input + (turn->done - length);
    requires bounded_by(turn, turn->done - length) && placed_by(turn, turn->done - length);
    requires \valid(turn->reply.buffer + (0 .. reach(turn, length) - 1));
    requires facts_fit(turn, reach(turn, length));
    requires length > 0 && message[0] == '/' ==> turn->facts != \null;
    terminates \true;
    assigns turn->reply.bytes \from turn->reply.bytes, turn->reply.buffer, message;
    assigns *turn->facts->gate, turn->reply.length, turn->reply.texts,
            turn->reply.told[0 .. TURN_TOLD_MAX - 1],
            turn->reply.asked[0 .. COUNTED_COMMANDS_MAX - 1],
            turn->reply.buffer[0 .. reach(turn, length) - 1];
    ensures placed(turn);
    behavior echo:
      assumes length == 0 || message[0] != '/';
      ensures turn->reply.texts == \old(turn->reply.texts);
      ensures turn->reply.length == \old(turn->reply.length) + length;
      ensures \old(turn->reply.length) == 0 ==> turn->reply.bytes == message;
    behavior command:
      assumes length > 0 && message[0] == '/';
      ensures turn->reply.texts == \old(turn->reply.texts) + 1;
      ensures turn->reply.length <= \old(turn->reply.length) + TURN_TEXT_MAX_BYTES;
      ensures turn->reply.bytes == turn->reply.buffer;
    complete behaviors;
    disjoint behaviors;
*/
static void answer_message(const char *message, size_t length, struct turn *turn);
PROVED(answer_message);

/*@ requires turn_fits(turn) && bounded(turn) && placed(turn) && counted(turn);
    requires \valid(memory) && memory_apart(memory, turn);
    requires turn->done < turn->length && turn->reply.texts < TURN_TEXTS_MAX;
    requires !memory->discarding;
    terminates \true;
    assigns turn->reply.bytes \from turn->reply.bytes, turn->reply.buffer, turn->input;
    assigns memory->discarding, memory->overlong_before, turn->done, turn->begun, turn->messages,
            turn->closing, *turn->facts->gate, turn->reply.length, turn->reply.texts,
            turn->reply.told[0 .. TURN_TOLD_MAX - 1],
            turn->reply.asked[0 .. COUNTED_COMMANDS_MAX - 1],
            turn->reply.buffer[0 .. turn->length + 262143];
    ensures bounded(turn) && counted(turn);
    ensures placed(turn);
    ensures dropped(memory, turn);
    ensures turn->done >= \old(turn->done);
    ensures memory->discarding ==> turn->done == \old(turn->done) && turn->begun == turn->done;
    ensures !memory->discarding ==> turn->begun == \old(turn->begun);
    ensures turn->ended && \result == TURN_MORE && !memory->discarding ==>
            turn->done > \old(turn->done);
    ensures \result == TURN_MORE || \result == TURN_CLOSE || \result == TURN_FACTS;
    ensures \result == TURN_CLOSE ==> memory->discarding != 0;
    ensures \result == TURN_FACTS ==> turn->facts == \null;
*/
static enum outcome step(struct memory *memory, struct turn *turn);
PROVED(step);

/*@ requires turn_fits(turn) && bounded(turn) && placed(turn) && counted(turn);
    requires \valid(memory) && memory_apart(memory, turn) && dropped(memory, turn);
    terminates \true;
    assigns turn->reply.bytes \from turn->reply.bytes, turn->reply.buffer, turn->input;
    assigns memory->discarding, memory->overlong_before, turn->done, turn->begun, turn->messages,
            turn->closing, *turn->facts->gate, turn->reply.length, turn->reply.texts,
            turn->reply.told[0 .. TURN_TOLD_MAX - 1],
            turn->reply.asked[0 .. COUNTED_COMMANDS_MAX - 1],
            turn->reply.buffer[0 .. turn->length + 262143];
    ensures bounded(turn) && counted(turn);
    ensures placed(turn);
    ensures dropped(memory, turn);
    ensures turn->done >= \old(turn->done);
    ensures turn->begun == NOTHING_BEGUN || turn->begun <= turn->done;
    // All of an input that has ended is answered, unless the outcome says what is missing.
    ensures turn->ended && \result == TURN_MORE ==> turn->done == turn->length;
    ensures \result == TURN_FACTS ==> turn->facts == \null;
    ensures \result == TURN_AGAIN ==> turn->reply.texts == TURN_TEXTS_MAX;
*/
static enum outcome echo_stream(struct memory *memory, struct turn *turn);
PROVED(echo_stream);

/*@ requires length == 0 || \valid_read(fresh + (0 .. length - 1));
    requires length <= 0x7fffffff && pending <= 0x7fffffff;
    terminates \true;
    assigns \nothing;
    ensures \result <==> pending + length <= max_line &&
                         \forall integer i; 0 <= i < length ==> fresh[i] != '\n';
*/
static bool echo_pends(const char *fresh, size_t length, size_t pending, size_t max_line);
PROVED(echo_pends);

/*@ requires \valid(turn) && turn->length <= 0x3fffffff;
    requires \valid_read(turn->input + (0 .. turn->length - 1));
    requires \valid(turn->reply.buffer + (0 .. TURN_TEXT_MAX_BYTES - 1));
    requires \separated(turn, turn->input + (0 .. turn->length - 1),
                        turn->reply.buffer + (0 .. TURN_TEXT_MAX_BYTES - 1));
    requires facts_fit(turn, TURN_TEXT_MAX_BYTES);
    requires turn->reply.length == 0 && turn->reply.texts == 0;
    terminates \true;
    assigns turn->reply.bytes \from turn->reply.buffer, turn->input;
    assigns turn->done, turn->begun, *turn->facts->gate, turn->reply.length, turn->reply.texts,
            turn->reply.told[0 .. TURN_TOLD_MAX - 1],
            turn->reply.asked[0 .. COUNTED_COMMANDS_MAX - 1],
            turn->reply.buffer[0 .. TURN_TEXT_MAX_BYTES - 1];
    behavior echo:
      assumes turn->length == 0 || turn->input[0] != '/';
      ensures \result == TURN_MORE && turn->done == turn->length;
      ensures turn->reply.bytes == turn->input && turn->reply.length == turn->length;
    behavior command:
      assumes turn->length > 0 && turn->input[0] == '/' && turn->facts != \null;
      ensures \result == TURN_MORE && turn->done == turn->length;
      ensures turn->reply.bytes == turn->reply.buffer;
      ensures turn->reply.length <= TURN_TEXT_MAX_BYTES;
    behavior facts:
      assumes turn->length > 0 && turn->input[0] == '/' && turn->facts == \null;
      ensures \result == TURN_FACTS;
      ensures turn->reply.length == 0;
    complete behaviors;
    disjoint behaviors;
*/
static enum outcome echo_datagram(struct turn *turn);
PROVED(echo_datagram);
