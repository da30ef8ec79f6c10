// SPDX-License-Identifier: MIT
// lines: the line protocol, told byte by byte as the contract has it, with no thought of speed, and
// what a line asks of the role faulty. The unit tests, the fuzzers and the simulation hold the
// daemon against it.
#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LINES_TOO_LONG "ERR too-long-line\n"
#define LINES_UNKNOWN "ERR unknown-command\n"
#define LINES_LATE "ERR line-timeout\n"

// What a byte, or the end of the stream, asks to be answered.
enum asked {
    ASKED_NOTHING,
    ASKED_ECHO,     // of lines->line, lines->length bytes
    ASKED_COMMAND,  // which is lines->line
    ASKED_TOO_LONG, // LINES_TOO_LONG, before the line has ended
};

struct lines {
    size_t max_line;
    char *line;        // room for max_line + 1 bytes
    size_t begun;      // bytes of a line that has not ended
    size_t length;     // of the one that has
    bool discarding;   // the rest of an overlong line
    unsigned overlong; // lines in a row
    bool closing;      // after the second, nothing is answered any more
};

static inline enum asked lines_ended(struct lines *lines)
{
    lines->length = lines->begun;
    lines->begun = lines->overlong = 0;
    return lines->line[0] == '/' ? ASKED_COMMAND : ASKED_ECHO;
}

static inline enum asked lines_read(struct lines *lines, char byte)
{
    if (lines->closing || lines->discarding) {
        lines->discarding &= byte != '\n';
        return ASKED_NOTHING;
    }
    lines->line[lines->begun++] = byte;
    if (byte == '\n')
        return lines_ended(lines);
    if (lines->begun <= lines->max_line)
        return ASKED_NOTHING;
    lines->begun = 0;
    lines->discarding = true;
    lines->closing = ++lines->overlong == 2;
    return ASKED_TOO_LONG;
}

// The stream has ended: what is begun of a line is one.
static inline enum asked lines_end(struct lines *lines)
{
    return lines->begun > 0 ? lines_ended(lines) : ASKED_NOTHING;
}

enum command_name {
    COMMAND_UNKNOWN, // LINES_UNKNOWN is answered
    COMMAND_STATS,
    COMMAND_TIME,
    COMMAND_WHOAMI,
    COMMAND_HEALTH,
    COMMAND_HELP,
    COMMAND_SHUTDOWN,
};

struct command {
    enum command_name name;
    const char *argument;
    size_t length;
};

static inline size_t lines_without_end(const char *message, size_t length)
{
    while (length > 0 && (message[length - 1] == '\n' || message[length - 1] == '\r'))
        length--;
    return length;
}

// A command and what follows its name, both apart from white space and the line's end.
static inline struct command lines_command(const char *message, size_t length)
{
    static const char *const names[] = {
        [COMMAND_STATS] = "/stats",   [COMMAND_TIME] = "/time", [COMMAND_WHOAMI] = "/whoami",
        [COMMAND_HEALTH] = "/health", [COMMAND_HELP] = "/help", [COMMAND_SHUTDOWN] = "/shutdown"};
    struct command command = {.name = COMMAND_UNKNOWN};
    size_t name = 0, argument;

    length = lines_without_end(message, length);
    while (name < length && !isspace((unsigned char)message[name]))
        name++;
    for (argument = name; argument < length && isspace((unsigned char)message[argument]);)
        argument++;
    for (int i = COMMAND_STATS; i <= COMMAND_SHUTDOWN; i++)
        if (strlen(names[i]) == name && memcmp(names[i], message, name) == 0)
            command.name = (enum command_name)i;
    command.argument = message + argument;
    command.length = length - argument;
    return command;
}

// What is asked of the role faulty.
enum wish_kind {
    WISH_NONE, // nothing that echo would not do
    WISH_USAGE,
    WISH_DELAY,
    WISH_DRIP,
    WISH_DROP,
    WISH_CLOSE,
    WISH_RESET,
    WISH_PAUSE,
    WISH_BYTES,
};

struct wish {
    enum wish_kind kind;
    bool tcp_only;
    const char *usage; // what is answered to a wrong argument
    uint64_t number;
    const char *text;
    size_t length;
};

// The digits at *AT, with a blank before them; *AT goes behind them. False if they are none, or not
// within LEAST and MOST.
static inline bool lines_number(const char *message, size_t length, size_t *at, uint64_t least,
                                uint64_t most, uint64_t *number)
{
    size_t begin = *at + 1, end = begin;

    for (*number = 0; end < length && !isspace((unsigned char)message[end]); end++) {
        if (!isdigit((unsigned char)message[end]) || *number > most)
            return false;
        *number = *number * 10 + (uint64_t)(message[end] - '0');
    }
    *at = end;
    return end > begin && *number >= least && *number <= most;
}

static inline struct wish lines_wish(const char *message, size_t length)
{
    static const struct {
        const char *name, *usage; // NULL: whatever follows the name is right
        bool tcp_only;
        uint64_t least, most;
    } row[] = {
        [WISH_DELAY] = {"/delay", "ERR usage /delay MS TEXT\n", false, 0, 3600000},
        [WISH_DRIP] = {"/drip", "ERR usage /drip MS TEXT\n", true, 0, 60000},
        [WISH_DROP] = {"/drop", NULL, false, 0, 0},
        [WISH_CLOSE] = {"/close", NULL, true, 0, 0},
        [WISH_RESET] = {"/reset", NULL, true, 0, 0},
        [WISH_PAUSE] = {"/pause", "ERR usage /pause MS\n", true, 0, 3600000},
        [WISH_BYTES] = {"/bytes", "ERR usage /bytes N\n", true, 1, 1 << 30},
    };
    struct wish wish = {.kind = WISH_NONE};
    size_t at = 0;
    int i = WISH_DELAY;

    length = lines_without_end(message, length);
    while (at < length && !isspace((unsigned char)message[at]))
        at++;
    while (i <= WISH_BYTES && (strlen(row[i].name) != at || memcmp(row[i].name, message, at) != 0))
        i++;
    if (i > WISH_BYTES)
        return wish;
    wish.kind = (enum wish_kind)i;
    wish.tcp_only = row[i].tcp_only;
    if (!row[i].usage)
        return wish;
    bool right = lines_number(message, length, &at, row[i].least, row[i].most, &wish.number);
    if (right && strstr(row[i].usage, "TEXT")) {
        right = at < length;
        wish.text = message + at + 1;
        wish.length = right ? length - at - 1 : 0;
    }
    if (!right) {
        wish.kind = WISH_USAGE;
        wish.usage = row[i].usage;
    }
    return wish;
}
