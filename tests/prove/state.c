// SPDX-License-Identifier: MIT
// What is proved of state.c's reading: whatever the bytes, `take`, by which all of it goes, hands
// out none beyond them; numbers, texts and lists that are read by it lie within what is left, every
// loop ends, and a value that is one of several is one of those. How records are made of these, and
// that what was written is what is read, is the unit tests' and the fuzzer's matter.
#include "prove.h"

#include "core/state.h"
#include "ground.h"

/*@ predicate bytes_ok(char *at, integer left) =
        0 <= left <= 0x7fffffff && (left == 0 || \valid_read(at + (0 .. left - 1)));

    predicate reader_ok(struct state_reader *reader) =
        \valid(reader) && bytes_ok(reader->at, reader->left);
*/

#include "core/state.c"

/*@ requires \valid(reader) && problem != \null;
    terminates \true;
    assigns reader->problem, reader->left;
    ensures reader->left == 0 && reader->problem != \null;
    ensures \old(reader->problem) != \null ==> reader->problem == \old(reader->problem);
*/
static void fail(struct state_reader *reader, const char *problem);
PROVED(fail);

/*@ requires reader_ok(reader);
    terminates \true;
    assigns reader->at, reader->left, reader->problem;
    assigns \result \from reader->at;
    ensures reader_ok(reader);
    ensures \result != \null ==> bytes_ok(\result, length) && \result == \old(reader->at);
    ensures \result != \null ==> length <= \old(reader->left);
    ensures \result != \null ==> reader->at == \old(reader->at) + length;
    ensures \old(reader->problem) != \null ==> reader->problem != \null;
*/
static const char *take(struct state_reader *reader, size_t length);
PROVED(take);

/*@ requires reader_ok(record) && width <= 8;
    terminates \true;
    assigns record->at, record->left, record->problem;
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint64_t get(struct state_reader *record, size_t width);
PROVED(get);

/*@ requires reader_ok(record);
    terminates \true;
    assigns record->at, record->left, record->problem;
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint32_t get_u8(struct state_reader *record);
PROVED(get_u8);

/*@ requires reader_ok(record);
    terminates \true;
    assigns record->at, record->left, record->problem;
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint32_t get_u32(struct state_reader *record);
PROVED(get_u32);

/*@ requires reader_ok(record);
    terminates \true;
    assigns record->at, record->left, record->problem;
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint64_t get_u64(struct state_reader *record);
PROVED(get_u64);

/*@ requires reader_ok(record) && count > 0;
    terminates \true;
    assigns record->at, record->left, record->problem;
    ensures reader_ok(record) && \result < count;
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint32_t get_choice(struct state_reader *record, uint32_t count);
PROVED(get_choice);

/*@ requires reader_ok(record) && \valid(bytes) && \separated(bytes, record);
    terminates \true;
    assigns record->at, record->left, record->problem, *bytes;
    ensures reader_ok(record) && bytes_ok(*bytes, \result);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static uint32_t get_blob(struct state_reader *record, const char **bytes);
PROVED(get_blob);

/*@ requires reader_ok(record) && 0 < count && \valid(numbers + (0 .. count - 1));
    requires \separated(numbers + (0 .. count - 1), record);
    terminates \true;
    assigns record->at, record->left, record->problem, numbers[0 .. count - 1];
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static void get_all(struct state_reader *record, uint64_t *numbers, size_t count);
PROVED(get_all);

/*@ requires reader_ok(record) && 0 < length <= 64 && \valid((char *)bytes + (0 .. length - 1));
    requires \separated((char *)bytes + (0 .. length - 1), record);
    requires record->left == 0 || \separated((char *)bytes + (0 .. length - 1),
                                             record->at + (0 .. record->left - 1));
    terminates \true;
    assigns record->at, record->left, record->problem, ((char *)bytes)[0 .. length - 1];
    ensures reader_ok(record);
    ensures \old(record->problem) != \null ==> record->problem != \null;
*/
static void get_bytes(struct state_reader *record, void *bytes, size_t length);
PROVED(get_bytes);

/*@ requires \valid(reader) && \valid_read(record) && \separated(reader, record);
    terminates \true;
    assigns reader->left, reader->problem;
    ensures \result <==> record->problem == \null;
    ensures !\result ==> reader->left == 0 && reader->problem != \null;
    ensures \result ==> reader->left == \old(reader->left);
*/
static bool ends(struct state_reader *reader, const struct state_reader *record);
PROVED(ends);
