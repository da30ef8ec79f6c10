// SPDX-License-Identifier: MIT
// log: one event a line on standard error, in logfmt: ts=… level=… msg=… and further fields.
//
// A line is written whole or not at all, and never waits: where the reader of standard error does
// not keep up, lines are dropped and the next one that is written tells how many. Values with
// anything but plain printable characters are quoted and escaped, so that no peer's bytes reach
// the log raw. The level and the limiter are the process's only mutable global state.
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DETAIL, LOG_DEBUG };

// Events that peers can cause are limited to so many a second, whatever they do.
enum { LOG_LIMITED_PER_SECOND = 20, LOG_FIELDS_MAX = 8 };

struct log_field {
    const char *key, *value;
};

// Where events go instead of standard error; see log_set_sink. Says whether the event was written.
typedef bool log_sink(enum log_level level, const char *message, const struct log_field *fields,
                      size_t count);

// Events above LEVEL are left out. LOG_DETAIL is written as level=info.
void log_set_level(enum log_level level);

// Whether an event of LEVEL would be written: asked where its fields cost something to find out.
bool log_enabled(enum log_level level);

// Hands every event to SINK from now on; NULL is standard error again.
void log_set_sink(log_sink *sink);

// Logs MESSAGE with pairs of field name and value, both strings, ended by NULL. A pair whose value
// is NULL is left out.
void log_event(enum log_level level, const char *message, ...) __attribute__((sentinel));

// The same for an event that a peer can cause as often as it likes: see LOG_LIMITED_PER_SECOND.
void log_limited(enum log_level level, const char *message, ...) __attribute__((sentinel));

// The value that a syslog severity has for LEVEL, as in syslog(3): 3, 4, 6 or 7.
int log_severity(enum log_level level);

// NUMBER in decimal in a buffer of the caller's frame, for use as a field's value.
#define LOG_NUMBER(number) log_number((char[21]){0}, (unsigned long long)(number))
const char *log_number(char buffer[21], unsigned long long number);

#endif
