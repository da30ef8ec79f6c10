// SPDX-License-Identifier: MIT
#include "ground/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ground/output.h"
#include "ground/text.h"

// Events of one name that were left out.
struct kind {
    const char *name;
    uint64_t count;
};

enum { LEFT_OUT_MAX_BYTES = 256 };

static struct {
    enum log_level level;
    log_sink *sink;
    unsigned rate; // see log_set_rate
    time_t second; // the limiter's second, and what was logged in it
    unsigned in_second;
    uint64_t suppressed; // events not written and not yet told
    struct kind kind[LOG_KINDS_MAX];
    uint64_t suppressed_before; // and told
} state = {.level = LOG_INFO, .rate = LOG_RATE};

void log_set_level(enum log_level level)
{
    state.level = level;
}

uint64_t log_suppressed(void)
{
    return state.suppressed_before + state.suppressed;
}

void log_set_rate(unsigned rate)
{
    state.rate = rate;
}

bool log_enabled(enum log_level level)
{
    return level <= state.level;
}

void log_set_sink(log_sink *sink)
{
    state.sink = sink;
}

int log_severity(enum log_level level)
{
    static const int severity[] = {3, 4, 6, 6, 7};

    return severity[level];
}

const char *log_value(const struct log_field *field, char room[LOG_VALUE_MAX])
{
    if (!field->is_number)
        return field->text;
    snprintf(room, LOG_VALUE_MAX, "%" PRIu64, field->number);
    return room;
}

static bool plain(const char *value)
{
    for (const char *at = value; *at; at++)
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\\' || *at == '=')
            return false;
    return *value != '\0';
}

static void put_quoted(struct text *line, const char *value)
{
    text_string(line, "\"");
    for (const char *at = value; *at; at++) {
        unsigned char byte = (unsigned char)*at;

        if (byte == '"' || byte == '\\')
            text_format(line, "\\%c", byte);
        else if (byte == '\n')
            text_string(line, "\\n");
        else if (byte < ' ' || byte > '~')
            text_format(line, "\\x%02x", byte);
        else
            text_bytes(line, at, 1);
    }
    text_string(line, "\"");
}

static void put_field(struct text *line, const struct log_field *field)
{
    char room[LOG_VALUE_MAX];
    const char *value = log_value(field, room);

    if (!value)
        return;
    text_format(line, " %s=", field->key);
    if (plain(value))
        text_string(line, value);
    else
        put_quoted(line, value);
}

static bool write_line(enum log_level level, const struct log_field *fields, size_t count,
                       uint64_t suppressed)
{
    static const char *const name[] = {"error", "warning", "info", "info", "debug"};
    char buffer[OUTPUT_LINE_MAX_BYTES];
    struct text line = text_in(buffer, sizeof buffer - 1);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    text_string(&line, "ts=");
    text_time(&line, now, 3);
    put_field(&line, &LOG_TEXT("level", name[level]));
    for (size_t i = 0; i < count; i++)
        put_field(&line, &fields[i]);
    if (suppressed > 0)
        put_field(&line, &LOG_NUMBER("suppressed", suppressed));
    buffer[line.length++] = '\n';
    return output_line(buffer, line.length);
}

static void suppress(const char *name)
{
    state.suppressed++;
    for (size_t i = 0; i < LOG_KINDS_MAX; i++) {
        struct kind *kind = &state.kind[i];

        if (!kind->name)
            kind->name = name;
        if (strcmp(kind->name, name) == 0) {
            kind->count++;
            return;
        }
    }
}

// What was left out, by name: one noisy client does not hide what the others did.
static const char *left_out(struct text *text)
{
    for (size_t i = 0; i < LOG_KINDS_MAX && state.kind[i].name; i++)
        text_format(text, "%s%s:%" PRIu64, i > 0 ? ", " : "", state.kind[i].name,
                    state.kind[i].count);
    return text_end(text);
}

static void tell_suppressed(void)
{
    state.suppressed_before += state.suppressed;
    state.suppressed = 0;
    memset(state.kind, 0, sizeof state.kind);
}

void log_write(enum log_level level, const struct log_field *fields, size_t count)
{
    log_sink *sink = state.sink ? state.sink : write_line;
    struct log_field all[LOG_FIELDS_MAX + 1];
    char room[LEFT_OUT_MAX_BYTES];
    struct text text = text_in(room, sizeof room);

    if (level > state.level)
        return;
    memcpy(all, fields, count * sizeof *fields);
    if (state.suppressed > 0)
        all[count] = LOG_TEXT("left_out", left_out(&text));
    if (sink(level, all, count + (state.suppressed > 0), state.suppressed))
        tell_suppressed();
    else
        suppress(fields[0].text);
}

static bool within_limit(void)
{
    struct timespec now;

    if (state.rate == 0)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != state.second) {
        state.second = now.tv_sec;
        state.in_second = 0;
    }
    if (state.in_second >= state.rate)
        return false;
    state.in_second++;
    return true;
}

void log_write_limited(enum log_level level, const struct log_field *fields, size_t count)
{
    if (level > state.level)
        return;
    if (within_limit())
        log_write(level, fields, count);
    else
        suppress(fields[0].text);
}
