// SPDX-License-Identifier: MIT
// echo: lines in, lines out, and commands among them; a datagram is a message of its own.
#include <string.h>

#include "core/command.h"
#include "ground/util.h"
#include "roles/role.h"

enum { LINE_LONG_BYTES = 256 };

// The length of the whole lines from BYTES on that are long, up to the first command, and in *LINES
// how many they are. One pass for each is the least that can be done for them.
static size_t long_lines(const char *bytes, size_t length, size_t max_line, uint32_t *lines)
{
    size_t done = 0;

    *lines = 0;
    /*@ loop invariant done <= length && *lines <= done;
        loop assigns done, *lines;
        loop variant length - done;
    */
    while (done < length && bytes[done] != '/') {
        const char *from = bytes + done;
        const char *newline = memchr(from, '\n', size_min(length - done, max_line + 1));

        if (!newline || newline - from < LINE_LONG_BYTES)
            break;
        done += (size_t)(newline + 1 - from);
        ++*lines;
    }
    return done;
}

// The length of the whole lines from BYTES on, within MAX_LINE + 1 bytes, up to the first command.
// None of them can be too long. Two passes over all lines at once cost less than one for each.
static size_t plain_lines(const char *bytes, size_t length, size_t max_line)
{
    size_t within = size_min(length, max_line + 1);
    const char *last = memrchr(bytes, '\n', within);

    if (!last || bytes[0] == '/')
        return 0;
    const char *end = last + 1;
    /*@ loop invariant 0 <= at - bytes <= end - bytes && at == bytes + (at - bytes);
        loop assigns at;
        loop variant end - at;
    */
    for (const char *at = bytes; (at = memchr(at, '/', (size_t)(end - at))); at++)
        if (at[-1] == '\n')
            return (size_t)(at - bytes);
    return (size_t)(end - bytes);
}

// The lines in a block of whole ones. Pieces of a constant length are what a compiler makes vectors
// of.
static uint32_t count_lines(const char *bytes, size_t length)
{
    enum { PIECE = 64 };
    uint32_t lines = 0;

    /*@ loop invariant lines + length <= \at(length, Pre);
        loop invariant bytes == \at(bytes, Pre) + (\at(length, Pre) - length);
        loop assigns bytes, length, lines;
        loop variant length;
    */
    for (; length >= PIECE; bytes += PIECE, length -= PIECE) {
        uint8_t in_piece = 0;

        /*@ loop invariant 0 <= i <= PIECE && in_piece <= i;
            loop assigns i, in_piece;
            loop variant PIECE - i;
        */
        for (int i = 0; i < PIECE; i++)
            in_piece = (uint8_t)(in_piece + (bytes[i] == '\n'));
        lines += in_piece;
    }
    /*@ loop invariant lines + length <= \at(length, Pre);
        loop invariant bytes == \at(bytes, Pre) + (\at(length, Pre) - length);
        loop assigns bytes, length, lines;
        loop variant length;
    */
    for (; length > 0; length--)
        lines += *bytes++ == '\n';
    return lines;
}

static enum outcome overlong(struct memory *memory, struct turn *turn)
{
    struct text text = reply_text(&turn->reply);
    bool second = memory->overlong_before;

    text_string(&text, "ERR too-long-line\n");
    reply_add(&turn->reply, &text);
    memory->discarding = memory->overlong_before = true;
    turn->messages++;
    turn->closing = CLOSED_LONG;
    turn->begun = turn->done;
    return second ? TURN_CLOSE : TURN_MORE;
}

// Drops the rest of an overlong line, as far as it has come.
static void discard(struct memory *memory, struct turn *turn)
{
    const char *from = turn->input + turn->done;
    const char *newline = memchr(from, '\n', turn->length - turn->done);

    turn->done = newline ? (size_t)(newline + 1 - turn->input) : turn->length;
    memory->discarding = !newline;
}

static void answer_message(const char *message, size_t length, struct turn *turn)
{
    if (is_command(message, length))
        command_answer(message, length, turn->facts, &turn->reply);
    else
        reply_echo(&turn->reply, message, length);
}

// Whole lines from BYTES on, up to the next command: their length, and in *LINES how many they are.
static size_t lines_before_command(const char *bytes, size_t length, size_t max_line,
                                   uint32_t *lines)
{
    size_t done = long_lines(bytes, length, max_line, lines);

    if (done > 0)
        return done;
    done = plain_lines(bytes, length, max_line);
    *lines = count_lines(bytes, done);
    return done;
}

// One step: some whole lines before the next command, or a command, or an overlong line.
// TURN_MORE with nothing done: only an unfinished line is left.
static enum outcome step(struct memory *memory, struct turn *turn)
{
    const char *from = turn->input + turn->done;
    size_t left = turn->length - turn->done;
    uint32_t lines;
    size_t length = lines_before_command(from, left, turn->max_line, &lines);

    if (length == 0) {
        const char *newline = memchr(from, '\n', size_min(left, turn->max_line + 1));

        if (!newline && left > turn->max_line)
            return overlong(memory, turn);
        if (!newline && !turn->ended)
            return TURN_MORE;
        if (is_command(from, left) && !turn->facts)
            return TURN_FACTS;
        length = newline ? (size_t)(newline + 1 - from) : left;
        lines = 1;
    }
    turn->messages += lines;
    memory->overlong_before = false;
    turn->done += length;
    answer_message(from, length, turn);
    return TURN_MORE;
}

static enum outcome echo_stream(struct memory *memory, struct turn *turn)
{
    enum outcome outcome = TURN_MORE;

    turn->begun = 0;
    /*@ loop invariant turn_fits(turn);
        loop invariant memory_apart(memory, turn);
        loop invariant bounded(turn) && placed(turn) && dropped(memory, turn) && counted(turn);
        loop invariant turn->done >= \at(turn->done, Pre) && turn->begun <= turn->done;
        loop invariant outcome == TURN_CLOSE ==> memory->discarding;
        loop invariant outcome != TURN_AGAIN;
        loop invariant outcome == TURN_FACTS ==> turn->facts == \null;
        loop assigns outcome, memory->discarding, memory->overlong_before, turn->done, turn->begun,
            turn->messages, turn->closing, *turn->facts->gate, turn->reply.bytes,
            turn->reply.length, turn->reply.texts, turn->reply.told[0 .. TURN_TOLD_MAX - 1],
            turn->reply.asked[0 .. COUNTED_COMMANDS_MAX - 1],
            turn->reply.buffer[0 .. turn->length + 262143];
        loop variant 2 * (turn->length - turn->done) + (memory->discarding ? 0 : 1);
    */
    while (turn->done < turn->length && outcome == TURN_MORE) {
        size_t before = turn->done;

        if (memory->discarding) {
            discard(memory, turn);
            continue;
        }
        if (turn->reply.texts == TURN_TEXTS_MAX)
            return TURN_AGAIN;
        outcome = step(memory, turn);
        if (turn->done == before && !memory->discarding)
            break;
    }
    if (!memory->discarding)
        turn->begun = turn->done < turn->length ? turn->done : NOTHING_BEGUN;
    return outcome;
}

// Whole lines are answered at once, and so is a line that gets too long: all that is pending is the
// beginning of one.
static bool echo_pends(const char *fresh, size_t length, size_t pending, size_t max_line)
{
    return pending + length <= max_line && !memchr(fresh, '\n', length);
}

static enum outcome echo_datagram(struct turn *turn)
{
    if (is_command(turn->input, turn->length) && !turn->facts)
        return TURN_FACTS;
    turn->done = turn->length;
    turn->begun = NOTHING_BEGUN;
    answer_message(turn->input, turn->length, turn);
    return TURN_MORE;
}

const struct role role_echo = {
    .name = "echo",
    .admitted = true,
    .stream = echo_stream,
    .pends = echo_pends,
    .datagram = echo_datagram,
    .late = "ERR line-timeout\n",
};
