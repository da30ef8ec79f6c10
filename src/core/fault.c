// SPDX-License-Identifier: MIT
#include "core/fault.h"

#include <string.h>

#include "core/number.h"
#include "ground/util.h"

enum { DELAY_MAX_MS = 3600000, DRIP_MAX_MS = 60000, BYTES_MAX = 1 << 30 };

static const struct row {
    const char *usage; // its first word is the name
    enum fault_kind kind;
    bool tcp_only, has_number, has_text;
    uint32_t minimum, maximum; // of the number
} rows[] = {
    {.usage = "/delay MS TEXT",
     .kind = FAULT_DELAY,
     .has_number = true,
     .has_text = true,
     .maximum = DELAY_MAX_MS},
    {.usage = "/drip MS TEXT",
     .kind = FAULT_DRIP,
     .tcp_only = true,
     .has_number = true,
     .has_text = true,
     .maximum = DRIP_MAX_MS},
    {.usage = "/drop TEXT", .kind = FAULT_DROP},
    {.usage = "/close", .kind = FAULT_CLOSE, .tcp_only = true},
    {.usage = "/reset", .kind = FAULT_RESET, .tcp_only = true},
    {.usage = "/pause MS",
     .kind = FAULT_PAUSE,
     .tcp_only = true,
     .has_number = true,
     .maximum = DELAY_MAX_MS},
    {.usage = "/bytes N",
     .kind = FAULT_BYTES,
     .tcp_only = true,
     .has_number = true,
     .minimum = 1,
     .maximum = BYTES_MAX},
    {.usage = "/help", .kind = FAULT_HELP},
};

static bool white(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

// The bytes up to the next blank, or to the end.
static size_t word(const char *bytes, size_t length)
{
    size_t at = 0;

    while (at < length && !white(bytes[at]))
        at++;
    return at;
}

static const struct row *find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (word(rows[i].usage, strlen(rows[i].usage)) == length &&
            memcmp(rows[i].usage, name, length) == 0)
            return &rows[i];
    return NULL;
}

// The arguments behind the name; one blank stands before each.
static bool read_arguments(const struct row *row, const char *at, size_t left, struct fault *fault)
{
    uint64_t number = 0;

    if (row->has_number) {
        if (left == 0)
            return false;
        size_t digits = word(++at, --left);
        if (!number_parse(at, digits, row->maximum, &number) || number < row->minimum)
            return false;
        at += digits;
        left -= digits;
    }
    fault->number = (uint32_t)number;
    if (!row->has_text)
        return true;
    if (left == 0)
        return false;
    fault->text = at + 1;
    fault->length = left - 1;
    return true;
}

struct fault fault_parse(const char *message, size_t length)
{
    while (length > 0 && (message[length - 1] == '\n' || message[length - 1] == '\r'))
        length--;
    size_t name = word(message, length);
    const struct row *row = find(message, name);
    struct fault fault = {.kind = FAULT_NONE};

    if (!row)
        return fault;
    fault.kind = row->kind;
    fault.tcp_only = row->tcp_only;
    if (!read_arguments(row, message + name, length - name, &fault))
        fault.usage = row->usage;
    return fault;
}

void fault_help(struct text *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].kind != FAULT_HELP)
            text_format(text, " %s", rows[i].usage);
}

static const char *const names[] = {
    [FAULT_DELAY] = "delay", [FAULT_DRIP] = "drip",   [FAULT_DROP] = "drop",
    [FAULT_CLOSE] = "close", [FAULT_RESET] = "reset", [FAULT_PAUSE] = "pause",
    [FAULT_BYTES] = "bytes",
};

const char *fault_name(enum fault_kind kind)
{
    return kind < ARRAY_LENGTH(names) ? names[kind] : NULL;
}
