// SPDX-License-Identifier: MIT
// log: one event a line on standard error, in logfmt: ts=… level=… msg=… and further fields.
//
// A line is written whole or not at all, and never waits (output.h): where the reader of standard
// error does not keep up, lines are dropped and the next one that is written tells how many. Values
// with anything but plain printable characters are quoted and escaped, so that no peer's bytes
// reach the log raw. The level, the sink, the limiter and output are mutable global state; the
// process has no other of its own but the journal's descriptor.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DETAIL, LOG_DEBUG };

// Events that peers can cause are limited to so many a second, whatever they do: by default, and
// LOG_KINDS_MAX of them are counted apart where they are left out.
enum { LOG_RATE = 20, LOG_KINDS_MAX = 8, LOG_FIELDS_MAX = 24 };

// A field of an event, a text or a number. One with a text that is NULL is left out.
struct log_field {
    const char *key;
    bool is_number;
    const char *text;
    uint64_t number;
};

#define LOG_TEXT(key, text) ((struct log_field){(key), false, (text), 0})
#define LOG_NUMBER(key, number) ((struct log_field){(key), true, NULL, (uint64_t)(number)})

// Room for any number in decimal.
enum { LOG_VALUE_MAX = 21 };

// The value of FIELD as a string, a number's in ROOM; or NULL: the field is left out.
const char *log_value(const struct log_field *field, char room[LOG_VALUE_MAX]);

// Where events go instead of standard error; see log_set_sink. The first of the COUNT fields is
// the event's name, msg. SUPPRESSED: so many events before it were not written; by their names they
// are a field, left_out. Says whether this one was.
typedef bool log_sink(enum log_level level, const struct log_field *fields, size_t count,
                      uint64_t suppressed);

// Events above LEVEL are left out. LOG_DETAIL is written as level=info.
void log_set_level(enum log_level level);

// Whether an event of LEVEL would be written: asked where its fields cost something to find out.
bool log_enabled(enum log_level level);

// Events that peers can cause are limited to RATE a second; 0: not at all.
void log_set_rate(unsigned rate);

// The events so far that were not written.
uint64_t log_suppressed(void);

// Hands every event to SINK from now on; NULL is standard error again.
void log_set_sink(log_sink *sink);

// Logs MESSAGE, a string that lives as long as the process, with LOG_FIELDS_MAX fields at most,
// LOG_TEXT and LOG_NUMBER.
#define log_event(level, message, ...)                                                             \
    LOG_CALL(log_write, level, LOG_TEXT("msg", message), ##__VA_ARGS__)

// The same for an event that a peer can cause as often as it likes: see log_set_rate.
#define log_limited(level, message, ...)                                                           \
    LOG_CALL(log_write_limited, level, LOG_TEXT("msg", message), ##__VA_ARGS__)

#define LOG_CALL(function, level, ...)                                                             \
    function(level, (const struct log_field[]){__VA_ARGS__}, LOG_COUNT(__VA_ARGS__))
#define LOG_COUNT(...)                                                                             \
    (sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field) +                  \
     0 * sizeof(char[LOG_FIELDS_MAX * sizeof(struct log_field) >=                                  \
                             sizeof((const struct log_field[]){__VA_ARGS__})                       \
                         ? 1                                                                       \
                         : -1])) // a negative size: too many fields do not compile
void log_write(enum log_level level, const struct log_field *fields, size_t count);
void log_write_limited(enum log_level level, const struct log_field *fields, size_t count);

// The value that a syslog severity has for LEVEL, as in syslog(3): 3, 4, 6 or 7.
int log_severity(enum log_level level);
