// SPDX-License-Identifier: MIT
// argument: reads a command line by a table of options, and prints that table for --help.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ground/text.h"

enum { ARGUMENT_ROWS_MAX = 32 };

struct argument_row;

// An option that has been found on the command line.
struct argument {
    void *values; // the struct that the command line is made into
    const struct argument_row *row;
    const char *value;  // points into argv; NULL for an option that takes none
    struct text *error; // where to name what is wrong with VALUE
};

// One row is all that an option needs: reading it and --help follow from it.
struct argument_row {
    const char *name;
    char letter; // the short option, or 0
    // False if the value is wrong: then it has said in ERROR what is.
    bool (*take)(const struct argument *argument);
    size_t offset; // in VALUES, of what the value goes to
    uint64_t minimum, maximum;
    const char *argument, *help; // argument is NULL for an option that takes none
};

// Reads the options in ARGV into VALUES, as getopt_long(3) does: what is no option is moved to the
// end, and the index of the first of it, or ARGC, is returned. The argument_last of --help and
// --version ends the reading. -1 for wrong usage: then ERROR names what is wrong, in one line.
int argument_read(const struct argument_row *rows, size_t count, void *values, int argc,
                  char *argv[], struct text *error);

// Adds a line for each option to HELP, whose long name is given WIDTH columns.
void argument_help(const struct argument_row *rows, size_t count, int width, struct text *help);

// The decimal number that is the value, within the row's bounds.
bool argument_number(const struct argument *argument, uint64_t *number);

// What the value goes to, at the row's offset.
void *argument_member(const struct argument *argument);

// What an option may do with its value: the member at its offset is an unsigned, a string, a bool.
bool argument_unsigned(const struct argument *argument);
bool argument_path(const struct argument *argument);
bool argument_flag(const struct argument *argument);
bool argument_last(const struct argument *argument);
