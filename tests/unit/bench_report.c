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

TEST(json_has_what_programs_rely_on)
{
    const char *json;

    results.own_cpu = 2000000;
    results.server = (struct server_results){
        .cost = true, .memory = true, .cpu = 3000000, .switches = 500, .rss = 640, .pss = 630};
    json = text_of(report_json);
    contains(json, "\"messages\": 1000,");
    contains(json, "\"seconds\": 2.000000,");
    contains(json, "\"messages_per_second\": 500.0,");
    contains(json, "\"errors\": 0,");
    contains(json, "\"loop\": \"closed\"");
    contains(json, "\"latency_us\": {\"p50\": 50.000, \"p90\": 50.000, \"p99\": 50.000, "
                   "\"p999\": 50.000, \"max\": 50.000");
    contains(json, "\"client\": {\"cpu_us_per_message\": 2.000000}");
    contains(json, "\"cpu_us_per_message\": 3.000000");
    contains(json, "\"context_switches_per_message\": 0.500000");
    contains(json, "\"rss_bytes_per_idle_connection\": 64.000000");
    contains(json, "\"pss_bytes_per_idle_connection\": 63.000000");
}

TEST(what_was_not_measured_is_null)
{
    const char *json;

    json = text_of(report_json);
    contains(json, "\"rss_bytes_per_idle_connection\": null");
    contains(json, "\"joules_per_million_messages\": null");
    contains(json, "\"wakeups_per_second_at_rest\": null");
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

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in:\n%s", part, text);
}

// Nothing that was measured is not 0.
TEST(no_messages_at_all)
{
    static char room[HGRM_ROOM];
    struct text text = text_in(room, sizeof room);

    results.server = (struct server_results){.cost = true, .cpu = 5};
    results_restart(&results);
    results.ended = 2000000000;
    assert_false(results_good(&results));
    contains(text_of(report_text), "messages    0 in 2.000 s: - a second, - MB");
    contains(text_of(report_text), "p50 -  p90 -  p99 -  p99.9 -  max -\n");
    contains(text_of(report_text), "echo-bench  - us");
    contains(text_of(report_text), "server      - us of CPU a message, - context");
    contains(text_of(report_json), "\"messages\": 0, \"seconds\": 2.000000, "
                                   "\"messages_per_second\": null");
    contains(text_of(report_json), "\"latency_us\": {\"p50\": null, \"p90\": null, \"p99\": null, "
                                   "\"p999\": null, \"max\": null, \"mean\": null}");
    contains(text_of(report_json), "\"client\": {\"cpu_us_per_message\": null}");
    contains(text_of(report_json), "\"pid\": 1, \"cpu_us_per_message\": null");
    report_hgrm(&results, &text);
    lacks(text_end(&text), "0.000");
}

TEST(no_time_at_all)
{
    results.ended = results.started;
    contains(text_of(report_json), "\"seconds\": 0.000000, \"messages_per_second\": null");
}

TEST(what_makes_a_run_bad)
{
    assert_true(results_good(&results));
    results.in_flight = 3;
    assert_false(results_good(&results));
    contains(text_of(report_text), "in flight   3 messages");
    contains(text_of(report_json), "\"in_flight\": 3,");
    results.in_flight = 0;
    results_fault(&results, FAULT_REFUSED, 1, "no");
    assert_false(results_good(&results));
    contains(text_of(report_json), "\"refused\": 1");
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

static size_t live_length(size_t columns)
{
    const struct live live = {.shown = true, .rate = {[0 ... LIVE_POINTS - 1] = 12345}};
    char room[256];
    struct text text = text_in(room, sizeof room);

    live_write(&live, 0.25, &results.latency, columns, &text);
    return text.length;
}

// The last column stays free: a terminal would go on to the next line.
TEST(live_fits_its_terminal)
{
    size_t all = live_length(200);

    assert_in_range(all, LIVE_POINTS + 20, 79);
    assert_int_equal(live_length(all), all - 1);
    assert_int_equal(live_length(all + 1), all);
    for (size_t columns = 1; columns < all; columns++)
        assert_int_equal(live_length(columns), columns - 1);
}

TEST(live_rate)
{
    struct live live = {.shown = true};
    char room[256];
    struct text text = text_in(room, sizeof room);

    live_note(&live, 0, 1000000000);
    live_note(&live, 500, 1500000000);
    live_write(&live, 0.25, &results.latency, 80, &text);
    contains(text_end(&text), " 25 %       1000/s  p99 50.0 us");
    live_note(&live, 0, 1600000000); // a new phase begins
    live_note(&live, 10, 1700000000);
    text = text_in(room, sizeof room);
    live_write(&live, 0.5, &results.latency, 80, &text);
    contains(text_end(&text), "        100/s");
}
