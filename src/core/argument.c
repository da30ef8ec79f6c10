// SPDX-License-Identifier: MIT
#include "core/argument.h"

#include <getopt.h>
#include <string.h>

#include "core/number.h"

enum { FIRST_LONG = 256 };

bool argument_number(const struct argument *argument, uint64_t *number)
{
    const struct argument_row *row = argument->row;
    const char *value = argument->value;
    uint64_t result;

    if (!number_parse(value, strlen(value), row->maximum, &result) || result < row->minimum) {
        text_format(argument->error, "--%s: '%.64s' is not a number from %llu to %llu", row->name,
                    value, (unsigned long long)row->minimum, (unsigned long long)row->maximum);
        return false;
    }
    *number = result;
    return true;
}

void *argument_member(const struct argument *argument)
{
    return (char *)argument->values + argument->row->offset;
}

bool argument_unsigned(const struct argument *argument)
{
    uint64_t number;

    if (!argument_number(argument, &number))
        return false;
    *(unsigned *)argument_member(argument) = (unsigned)number;
    return true;
}

bool argument_path(const struct argument *argument)
{
    *(const char **)argument_member(argument) = argument->value;
    if (*argument->value)
        return true;
    text_format(argument->error, "--%s: the value is empty", argument->row->name);
    return false;
}

bool argument_flag(const struct argument *argument)
{
    *(bool *)argument_member(argument) = true;
    return true;
}

bool argument_last(const struct argument *argument)
{
    return argument_flag(argument);
}

static void fill_getopt(const struct argument_row *rows, size_t count, struct option *longs,
                        char *shorts)
{
    *shorts++ = ':'; // report a missing argument as ':', and print nothing
    for (size_t i = 0; i < count; i++) {
        longs[i] = (struct option){
            .name = rows[i].name, .has_arg = rows[i].argument != NULL, .val = FIRST_LONG + (int)i};
        if (rows[i].letter)
            *shorts++ = rows[i].letter;
        if (rows[i].letter && rows[i].argument)
            *shorts++ = ':';
    }
    *shorts = '\0';
    longs[count] = (struct option){0};
}

// The row of what getopt_long(3) has found, which is in the table.
static const struct argument_row *row_of(const struct argument_row *rows, int answer)
{
    if (answer >= FIRST_LONG)
        return &rows[answer - FIRST_LONG];
    while (rows->letter != answer)
        rows++;
    return rows;
}

// getopt(3) tells an unknown or ambiguous option, an argument too many and one too few alike, in
// WORD.
static void name_wrong(const struct argument_row *rows, int answer, const char *word,
                       struct text *error)
{
    if (answer == ':')
        text_format(error, "'%.64s' needs a value", word);
    else if (optopt >= FIRST_LONG)
        text_format(error, "--%s takes no value", rows[optopt - FIRST_LONG].name);
    else if (optopt > 0)
        text_format(error, "unknown option '-%c'", optopt);
    else
        text_format(error, "unknown or ambiguous option '%.64s'", word);
}

int argument_read(const struct argument_row *rows, size_t count, void *values, int argc,
                  char *argv[], struct text *error)
{
    struct option longs[ARGUMENT_ROWS_MAX + 1];
    char shorts[2 * ARGUMENT_ROWS_MAX + 2];
    int answer;

    fill_getopt(rows, count, longs, shorts);
    opterr = 0;
    optind = 0; // glibc and musl: begin anew, so that a program may read more than once
    while ((answer = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (answer == '?' || answer == ':') {
            name_wrong(rows, answer, argv[optind - 1], error);
            return -1;
        }
        const struct argument_row *row = row_of(rows, answer);
        if (!row->take(&(struct argument){values, row, optarg, error}))
            return -1;
        if (row->take == argument_last)
            return argc; // whatever else there is
    }
    return optind;
}

void argument_help(const struct argument_row *rows, size_t count, int width, struct text *help)
{
    for (const struct argument_row *row = rows; row < rows + count; row++) {
        char name[64];
        struct text text = text_in(name, sizeof name);

        text_format(&text, "--%s%s%s", row->name, row->argument ? "=" : "",
                    row->argument ? row->argument : "");
        if (row->letter)
            text_format(help, "  -%c, ", row->letter);
        else
            text_string(help, "      ");
        text_format(help, "%-*s %s\n", width, text_end(&text), row->help);
    }
}
