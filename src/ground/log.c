// SPDX-License-Identifier: MIT
#include "ground/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ground/output.h"
#include "ground/text.h"

static struct {
    enum log_level level;
    log_sink *sink;
    time_t second; // the limiter's second, and what was logged in it
    unsigned in_second;
    uint64_t suppressed; // events not written and not yet told
} state = {.level = LOG_INFO};

void log_set_level(enum log_level level)
{
    state.level = level;
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

void log_write(enum log_level level, const struct log_field *fields, size_t count)
{
    if (level > state.level)
        return;
    if ((state.sink ? state.sink : write_line)(level, fields, count, state.suppressed))
        state.suppressed = 0;
    else
        state.suppressed++;
}

static bool within_limit(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != state.second) {
        state.second = now.tv_sec;
        state.in_second = 0;
    }
    if (state.in_second < LOG_LIMITED_PER_SECOND) {
        state.in_second++;
        return true;
    }
    state.suppressed++;
    return false;
}

void log_write_limited(enum log_level level, const struct log_field *fields, size_t count)
{
    if (level <= state.level && within_limit())
        log_write(level, fields, count);
}
