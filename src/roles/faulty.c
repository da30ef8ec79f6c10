// SPDX-License-Identifier: MIT
// faulty: echo, and faults on demand. What asks for none goes to echo as it is.
#include <string.h>

#include "core/command.h"
#include "core/fault.h"
#include "ground/util.h"
#include "roles/role.h"

enum { BYTES_PER_TURN = 65536 };

static void count(struct turn *turn, enum fault_kind kind)
{
    if (kind != FAULT_HELP)
        turn->reply.asked[COUNTED_FAULTS + kind - 1]++;
    turn->reply.texts++; // as much work as a text, also where there is none
}

// Appends BYTES to the reply, wherever they are from.
static void put(struct reply *reply, const char *bytes, size_t length)
{
    reply_text(reply); // from here on, the reply is in its buffer
    if (length > 0)
        memcpy(reply->buffer + reply->length, bytes, length);
    reply->length += length;
}

static void put_line(struct reply *reply, const char *text, size_t length)
{
    put(reply, text, length);
    put(reply, "\n", 1);
}

// What is one line, and waits for nothing. False if FAULT is not that.
static bool answer_at_once(const struct fault *fault, struct reply *reply)
{
    struct text text;

    if (!fault->usage && fault->kind != FAULT_HELP)
        return false;
    text = reply_text(reply);
    if (fault->usage) {
        text_string(&text, "ERR usage ");
        text_string(&text, fault->usage);
    } else {
        command_help(&text);
        fault_help(&text);
    }
    text_string(&text, "\n");
    reply_add(reply, &text);
    return true;
}

// Where the first line begins that asks for a fault, from turn->done on, whose LENGTH is all of it;
// turn->length if there is none.
static size_t find(const struct memory *memory, const struct turn *turn, size_t *length)
{
    const char *end = turn->input + turn->length, *from = turn->input + turn->done, *newline;

    if (memory->discarding) {
        newline = memchr(from, '\n', (size_t)(end - from));
        from = newline ? newline + 1 : end;
    }
    for (; from < end; from = newline + 1) {
        newline = memchr(from, '\n', (size_t)(end - from));
        if (!newline && !turn->ended)
            break;
        *length = newline ? (size_t)(newline + 1 - from) : (size_t)(end - from);
        if (*from == '/' && *length - (newline != NULL) <= turn->max_line &&
            fault_parse(from, *length).kind != FAULT_NONE)
            return (size_t)(from - turn->input);
        if (!newline)
            break;
    }
    return turn->length;
}

// Has echo answer what stands before AT, a line's begin or the end of the input. That no more comes
// is told in both cases: before a line's begin, nothing is unfinished.
static enum outcome echo_until(struct memory *memory, struct turn *turn, size_t at)
{
    size_t length = turn->length;

    turn->length = at;
    enum outcome outcome = role_echo.stream(memory, turn);
    turn->length = length;
    return outcome;
}

static enum outcome wait_for(struct memory *memory, struct turn *turn, uint32_t milliseconds)
{
    memory->waited = true;
    turn->wait_ms = milliseconds;
    return TURN_WAIT;
}

// A byte of the text, or the LF behind it, after each time that has passed. Whether that was all.
static bool drip(struct memory *memory, const struct fault *fault, struct reply *reply)
{
    put(reply, memory->dripped < fault->length ? fault->text + memory->dripped : "\n", 1);
    memory->waited = false;
    if (memory->dripped++ < fault->length)
        return false;
    memory->dripped = 0;
    return true;
}

static enum outcome done(struct memory *memory, struct turn *turn, size_t length,
                         enum outcome outcome)
{
    turn->done += length;
    turn->messages++;
    turn->begun = NOTHING_BEGUN;
    memory->overlong_before = false;
    return outcome;
}

// Does what the line at turn->done, LENGTH bytes, asks for. What waits first is not done meanwhile,
// and shown again.
static enum outcome commit(struct memory *memory, struct turn *turn, size_t length)
{
    struct fault fault = fault_parse(turn->input + turn->done, length);
    bool waits = !fault.usage && (fault.kind == FAULT_DELAY || fault.kind == FAULT_DRIP);

    if (waits && !memory->waited)
        return wait_for(memory, turn, fault.number);
    if (waits && fault.kind == FAULT_DRIP && !drip(memory, &fault, &turn->reply))
        return TURN_MORE;
    memory->waited = false;
    count(turn, fault.kind);
    if (answer_at_once(&fault, &turn->reply))
        return done(memory, turn, length, TURN_MORE);
    switch (fault.kind) {
    case FAULT_DELAY:
        put_line(&turn->reply, fault.text, fault.length);
        break;
    case FAULT_DROP:
        put(&turn->reply, NULL, 0); // a gap between echoes
        break;
    case FAULT_PAUSE:
        memory->paused = true;
        turn->wait_ms = fault.number;
        return done(memory, turn, length, TURN_WAIT);
    case FAULT_BYTES:
        memory->left = fault.number;
        break;
    case FAULT_CLOSE:
        return done(memory, turn, length, TURN_CLOSE);
    case FAULT_RESET:
        return done(memory, turn, length, TURN_RESET);
    default:
        break;
    }
    return done(memory, turn, length, TURN_MORE);
}

// Some of what /bytes asked for, made as it is sent.
static enum outcome more_bytes(struct memory *memory, struct turn *turn)
{
    size_t some = size_min(memory->left, BYTES_PER_TURN);

    if (turn->reply.length > 0)
        return TURN_AGAIN;
    memset(turn->reply.buffer, 'x', some);
    turn->reply.bytes = turn->reply.buffer;
    turn->reply.length = some;
    memory->left -= (uint32_t)some;
    if (memory->left > 0)
        return TURN_AGAIN;
    turn->reply.buffer[some - 1] = '\n';
    return TURN_MORE;
}

static enum outcome step(struct memory *memory, struct turn *turn)
{
    size_t length = 0, at;

    if (memory->left > 0)
        return more_bytes(memory, turn);
    at = find(memory, turn, &length);
    if (at > turn->done)
        return echo_until(memory, turn, at);
    return turn->reply.texts + 3 > TURN_TEXTS_MAX ? TURN_AGAIN : commit(memory, turn, length);
}

static enum outcome faulty_stream(struct memory *memory, struct turn *turn)
{
    enum outcome outcome = TURN_MORE;

    memory->paused = false;
    turn->begun = memory->discarding ? 0 : NOTHING_BEGUN;
    while (outcome == TURN_MORE && (turn->done < turn->length || memory->left > 0)) {
        size_t before = turn->done;
        uint32_t left = memory->left, dripped = memory->dripped;

        outcome = step(memory, turn);
        if (turn->done == before && memory->left == left && memory->dripped == dripped)
            break; // an unfinished line is left, or what is to wait
    }
    return outcome;
}

static bool faulty_pends(const char *fresh, size_t length, size_t pending, size_t max_line)
{
    return role_echo.pends(fresh, length, pending, max_line);
}

static enum outcome faulty_datagram(struct turn *turn)
{
    struct fault fault = fault_parse(turn->input, turn->length);

    if (fault.kind == FAULT_NONE)
        return role_echo.datagram(turn);
    turn->done = turn->length;
    count(turn, fault.kind);
    if (fault.tcp_only)
        put_line(&turn->reply, "ERR tcp-only", strlen("ERR tcp-only"));
    else if (fault.kind == FAULT_DROP)
        return TURN_SILENT;
    else if (!answer_at_once(&fault, &turn->reply)) {
        put_line(&turn->reply, fault.text, fault.length);
        turn->wait_ms = fault.number;
        return TURN_WAIT;
    }
    return TURN_MORE;
}

const struct role role_faulty = {
    .name = "faulty",
    .admitted = true,
    .stream = faulty_stream,
    .pends = faulty_pends,
    .datagram = faulty_datagram,
    .late = "ERR line-timeout\n",
};
