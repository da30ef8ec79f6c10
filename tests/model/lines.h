// SPDX-License-Identifier: MIT
// lines: the line protocol, told byte by byte as the contract has it, with no thought of speed. The
// unit tests, the fuzzer and the simulation hold the daemon against it.
#pragma once

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
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

// A command and what follows its name, both apart from white space and the line's end.
static inline struct command lines_command(const char *message, size_t length)
{
    static const char *const names[] = {
        [COMMAND_STATS] = "/stats",   [COMMAND_TIME] = "/time", [COMMAND_WHOAMI] = "/whoami",
        [COMMAND_HEALTH] = "/health", [COMMAND_HELP] = "/help", [COMMAND_SHUTDOWN] = "/shutdown"};
    struct command command = {.name = COMMAND_UNKNOWN};
    size_t name = 0, argument;

    while (length > 0 && (message[length - 1] == '\n' || message[length - 1] == '\r'))
        length--;
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
