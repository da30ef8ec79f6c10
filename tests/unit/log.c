// SPDX-License-Identifier: MIT
// Linked with --wrap=clock_gettime: the time is the test's own.
#include "unit.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "ground/log.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

static time_t monotonic_seconds = 1000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    *time = (struct timespec){.tv_sec = clock == CLOCK_REALTIME ? 1795226463 : monotonic_seconds,
                              .tv_nsec = 123456789};
    return 0;
}

#define STAMP "ts=2026-11-21T02:01:03.123Z "

// Standard error, for the time of one test, is a pipe.
static struct {
    int real, reading;
    char line[8192];
} errors;

BEFORE_EACH
{
    int pair[2];

    assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
    errors.real = dup(STDERR_FILENO);
    errors.reading = pair[0];
    dup2(pair[1], STDERR_FILENO);
    close(pair[1]);
    log_set_level(LOG_INFO);
    monotonic_seconds++; // what the limiter counted is over
}

AFTER_EACH
{
    dup2(errors.real, STDERR_FILENO);
    close(errors.real);
    close(errors.reading);
    log_set_sink(NULL);
}

static const char *logged(void)
{
    ssize_t got = read(errors.reading, errors.line, sizeof errors.line - 1);

    errors.line[got > 0 ? got : 0] = '\0';
    return errors.line;
}

static size_t lines_logged(void)
{
    size_t lines = 0;

    for (const char *at = logged(); *at; at++)
        lines += *at == '\n';
    return lines;
}

TEST(an_event_is_one_line_of_fields)
{
    log_event(LOG_INFO, "listening", LOG_TEXT("proto", "tcp"), LOG_TEXT("addr", "[::]:12345"));
    assert_string_equal(logged(), STAMP "level=info msg=listening proto=tcp addr=[::]:12345\n");
    log_event(LOG_INFO, "m", LOG_NUMBER("a", 0), LOG_NUMBER("b", UINT64_MAX));
    assert_string_equal(logged(), STAMP "level=info msg=m a=0 b=18446744073709551615\n");
    log_event(LOG_INFO, "m", LOG_TEXT("a", NULL), LOG_NUMBER("b", 2)); // none is left out
    assert_string_equal(logged(), STAMP "level=info msg=m b=2\n");
}

TEST(each_level_has_its_name_and_severity)
{
    static const struct {
        enum log_level level;
        const char *line;
        int severity;
    } row[] = {
        {LOG_ERROR, STAMP "level=error msg=m\n", 3},
        {LOG_WARNING, STAMP "level=warning msg=m\n", 4},
        {LOG_INFO, STAMP "level=info msg=m\n", 6},
        {LOG_DETAIL, STAMP "level=info msg=m\n", 6},
        {LOG_DEBUG, STAMP "level=debug msg=m\n", 7},
    };

    log_set_level(LOG_DEBUG);
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        log_event(row[i].level, "m");
        assert_string_equal(logged(), row[i].line);
        assert_int_equal(log_severity(row[i].level), row[i].severity);
    }
}

TEST(events_above_the_level_are_left_out)
{
    log_set_level(LOG_WARNING);
    log_event(LOG_INFO, "m");
    log_limited(LOG_INFO, "m");
    assert_string_equal(logged(), "");
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARNING));
    log_event(LOG_WARNING, "m");
    assert_string_equal(logged(), STAMP "level=warning msg=m\n");
}

TEST(values_that_are_not_plain_are_quoted)
{
    static const char *const row[][2] = {
        {"plain", "plain"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"\"", "\"\\\"\""},
        {"say \"x\"", "\"say \\\"x\\\"\""},
        {"back\\slash", "\"back\\\\slash\""},
        {"line\nline", "\"line\\nline\""},
        {"\r\t\x1b[2J", "\"\\x0d\\x09\\x1b[2J\""},
        {"\x7f\x80\xff", "\"\\x7f\\x80\\xff\""},
        {"caf\xc3\xa9", "\"caf\\xc3\\xa9\""},
        {"!~", "!~"},
        {"\x7f", "\"\\x7f\""},
    };
    char expected[256];

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        log_event(LOG_INFO, "m", LOG_TEXT("value", row[i][0]));
        snprintf(expected, sizeof expected, STAMP "level=info msg=m value=%s\n", row[i][1]);
        assert_string_equal(logged(), expected);
    }
}

TEST(a_line_too_long_is_cut_and_still_one_line)
{
    static char value[10000];

    memset(value, 'x', sizeof value - 1);
    log_event(LOG_INFO, "m", LOG_TEXT("value", value));
    assert_int_equal(strlen(logged()), 4096);
    assert_int_equal(errors.line[4095], '\n');
    assert_null(memchr(errors.line, '\n', 4095));
}

TEST(limited_events_are_so_many_a_second)
{
    for (int i = 0; i < 3 * LOG_RATE; i++)
        log_limited(LOG_INFO, "m");
    assert_int_equal(lines_logged(), LOG_RATE);
    log_limited(LOG_INFO, "n");
    assert_int_equal(log_suppressed(), 41);
    log_event(LOG_INFO, "other"); // not limited, and tells what was not written
    assert_string_equal(logged(),
                        STAMP "level=info msg=other left_out=\"m:40, n:1\" suppressed=41\n");
    assert_int_equal(log_suppressed(), 41);
    monotonic_seconds++;
    log_limited(LOG_INFO, "m");
    assert_string_equal(logged(), STAMP "level=info msg=m\n");
}

TEST(the_limit_can_be_set_and_taken_away)
{
    log_set_rate(2);
    for (int i = 0; i < 3; i++)
        log_limited(LOG_INFO, "m");
    assert_int_equal(lines_logged(), 2);
    log_set_rate(0);
    for (int i = 0; i < 100; i++)
        log_limited(LOG_INFO, "m");
    assert_int_equal(lines_logged(), 100);
    log_set_rate(LOG_RATE);
}

// Of more names than are counted apart, the others are in the sum alone.
TEST(names_that_are_left_out_have_a_bound)
{
    static const char *const name[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};

    log_set_rate(1);
    log_limited(LOG_INFO, "m");
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++)
        log_limited(LOG_INFO, name[i]);
    logged();
    log_event(LOG_INFO, "m");
    assert_string_equal(logged(), STAMP "level=info msg=m left_out=\"a:1, b:1, c:1, d:1, e:1, "
                                        "f:1, g:1, h:1\" suppressed=10\n");
    log_set_rate(LOG_RATE);
}

TEST(a_line_that_would_wait_is_dropped_and_counted)
{
    fcntl(STDERR_FILENO, F_SETPIPE_SZ, 4096);
    while (write(STDERR_FILENO, "x", 1) == 1)
        ;
    log_event(LOG_INFO, "lost");
    log_event(LOG_INFO, "lost");
    assert_int_equal(strspn(logged(), "x"), 4096);
    log_event(LOG_INFO, "m", LOG_TEXT("a", "1"));
    assert_string_equal(logged(), STAMP "level=info msg=m a=1 left_out=lost:2 suppressed=2\n");
    log_event(LOG_INFO, "m");
    assert_string_equal(logged(), STAMP "level=info msg=m\n");
}

static struct {
    unsigned calls;
    bool written;
    enum log_level level;
    char field[256]; // the last one, KEY=VALUE
    size_t fields;
    uint64_t suppressed;
} sink;

static bool take(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    char room[LOG_VALUE_MAX];

    assert_string_equal(fields[0].key, "msg");
    assert_string_equal(fields[0].text, "m");
    sink.calls++;
    sink.level = level;
    sink.fields = count;
    sink.suppressed = suppressed;
    snprintf(sink.field, sizeof sink.field, "%s=%s", fields[count - 1].key,
             log_value(&fields[count - 1], room));
    return sink.written;
}

TEST(a_sink_takes_the_place_of_standard_error_and_what_it_refuses_is_counted_too)
{
    sink.written = true;
    log_set_sink(take);
    log_event(LOG_WARNING, "m", LOG_TEXT("a", "two words"));
    assert_int_equal(sink.calls, 1);
    assert_int_equal(sink.level, LOG_WARNING);
    assert_int_equal(sink.fields, 2);
    assert_string_equal(sink.field, "a=two words");
    log_event(LOG_DEBUG, "m");
    assert_int_equal(sink.calls, 1);
    sink.written = false;
    log_event(LOG_INFO, "m");
    sink.written = true;
    log_event(LOG_INFO, "m");
    assert_int_equal(sink.suppressed, 1);
    log_event(LOG_INFO, "m");
    assert_int_equal(sink.suppressed, 0);
    assert_string_equal(logged(), "");
}
