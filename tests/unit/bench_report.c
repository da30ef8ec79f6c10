// SPDX-License-Identifier: MIT
#include "unit.h"

#include "live.h"
#include "report.h"

static struct settings settings = {
    .connections = 2, .depth = 16, .size = 64, .idle = 10, .pid = 1, .server = "127.0.0.1:7"};
static struct results results;

static const char *text_of(void (*write)(const struct settings *, const struct results *,
                                         struct text *))
{
    static char room[REPORT_ROOM];
    struct text text = text_in(room, sizeof room);

    write(&settings, &results, &text);
    assert_false(text.cut);
    return text_end(&text);
}

BEFORE_EACH
{
    results = (struct results){.started = 0, .ended = 2000000000};
    for (int i = 0; i < 1000; i++)
        histogram_record(&results.latency, 50000, 1);
    settings.rate = 0;
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

TEST(json_has_what_programs_rely_on_and_null_for_what_was_not_measured)
{
    static const char *const part[] = {
        "\"messages\": 1000,",
        "\"seconds\": 2.000000,",
        "\"messages_per_second\": 500.0,",
        "\"errors\": 0,",
        "\"loop\": \"closed\"",
        "\"latency_us\": {\"p50\": 50.000, \"p90\": 50.000, \"p99\": 50.000,",
        " \"p999\": 50.000, \"max\": 50.000",
        "\"client\": {\"cpu_us_per_message\": 2.000000}",
        "\"cpu_us_per_message\": 3.000000",
        "\"context_switches_per_message\": 0.500000",
        "\"rss_bytes_per_idle_connection\": 64.000000",
        "\"pss_bytes_per_idle_connection\": 63.000000",
        "\"joules_per_million_messages\": null",
        "\"wakeups_per_second_at_rest\": null",
    };

    contains(text_of(report_json), "\"rss_bytes_per_idle_connection\": null");
    results.own_cpu = 2000000;
    results.server = (struct server_results){
        .cost = true, .memory = true, .cpu = 3000000, .switches = 500, .rss = 640, .pss = 630};
    const char *json = text_of(report_json);
    for (size_t i = 0; i < ARRAY_LENGTH(part); i++)
        contains(json, part[i]);
}

TEST(errors_are_named)
{
    const char *text;

    results_fault(&results, FAULT_LOST, 3, "no answer to %s", "\"this\"\n");
    results_fault(&results, FAULT_CORRUPT, 1, "a later one");
    assert_int_equal(results_faults(&results), 4);
    text = text_of(report_text);
    contains(text, "errors      4  corrupt 1  lost 3");
    contains(text, "the first: no answer to .this..");
    contains(text_of(report_json), "\"lost\": 3");
}

TEST(the_loop_is_told)
{
    contains(text_of(report_text), "closed loop");
    settings.rate = 100;
    contains(text_of(report_text), "open loop");
    contains(text_of(report_json), "\"loop\": \"open\"");
}

TEST(no_messages_at_all)
{
    results_restart(&results);
    contains(text_of(report_text), "messages    0 in");
    contains(text_of(report_json), "\"messages\": 0,");
    assert_null(strstr(text_of(report_json), "nan"));
}

// Columns as HdrHistogram prints them, the last line at 1.0, and comments after that.
TEST(hgrm)
{
    static char room[HGRM_ROOM];
    struct text text = text_in(room, sizeof room);
    double value = 0, share = 0, before = 0;
    unsigned long long count = 0;

    for (unsigned i = 1; i <= 100000; i++)
        histogram_record(&results.latency, i * UINT64_C(1000), 1);
    report_hgrm(&results, &text);
    text_end(&text);
    assert_false(text.cut);
    char *line = strtok(room, "\n");
    contains(line, "Value");
    contains(line, "1/(1-Percentile)");
    while ((line = strtok(NULL, "\n")) && line[0] != '#') {
        char *at = line;

        value = strtod(at, &at);
        share = strtod(at, &at);
        count = strtoull(at, &at, 10);
        assert_true(value >= before);
        before = value;
    }
    assert_true(share >= 1);
    assert_int_equal(count, 101000);
    assert_true(value > 99.99 && value < 100.01);
    contains(line, "#[Mean");
}

TEST(times_have_units)
{
    char room[REPORT_TIME_MAX];

    assert_string_equal(report_time(room, 1500), "1.5 us");
    assert_string_equal(report_time(room, 1500000), "1.50 ms");
    assert_string_equal(report_time(room, 2500000000), "2.50 s");
}

TEST(sparkline)
{
    const double values[] = {0, 0.1, 4, 8};
    char room[64];
    struct text text = text_in(room, sizeof room);

    live_sparkline(values, 4, false, &text);
    assert_string_equal(text_end(&text), " .=#");
    text = text_in(room, sizeof room);
    live_sparkline(values, 4, true, &text);
    assert_string_equal(text_end(&text), " ▁▄█");
}

TEST(live_rate)
{
    struct live live = {.shown = true};
    char room[256];
    struct text text = text_in(room, sizeof room);

    live_note(&live, 0, 1000000000);
    live_note(&live, 500, 1500000000);
    live_write(&live, 0.25, 42000, &text);
    contains(text_end(&text), " 25 %       1000/s  p99 42.0 us");
    live_note(&live, 0, 1600000000); // a new phase begins
    live_note(&live, 10, 1700000000);
    text = text_in(room, sizeof room);
    live_write(&live, 0.5, 42000, &text);
    contains(text_end(&text), "        100/s");
}
