// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>

#include "export.h"
#include "live.h"
#include "report.h"
#include "summary.h"
#include "warning.h"

static struct settings settings = {.connections = 2,
                                   .depth = 16,
                                   .size = 64,
                                   .idle = 10,
                                   .pid = 1,
                                   .server = "127.0.0.1:7",
                                   .us = "us"};
static struct results results;

static const char *text_of(void (*write)(const struct settings *, const struct results *,
                                         struct text *))
{
    static char room[JSON_ROOM];
    struct text text = text_in(room, sizeof room);

    write(&settings, &results, &text);
    assert_false(text.cut);
    return text_end(&text);
}

BEFORE_EACH
{
    results = (struct results){.started = 0, .ended = 2000000000, .wall = 2000000000};
    for (int i = 0; i < 1000; i++)
        histogram_record(&results.latency, 50000, 1);
    settings.rate = 0;
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in:\n%s", part, text);
}

TEST(json_has_what_programs_rely_on)
{
    const char *json;

    results.own_cpu = 2000000;
    results.server = (struct server_results){.cost = true,
                                             .memory = true,
                                             .cpu = 3000000,
                                             .switches = 500,
                                             .idle = 10,
                                             .rss = 640,
                                             .pss = 630};
    json = text_of(export_json);
    contains(json, "\"messages\": 1000,");
    contains(json, "\"seconds\": 2.000000,");
    contains(json, "\"messages_per_second\": 500.0,");
    contains(json, "\"errors\": 0,");
    contains(json, "\"loop\": \"closed\"");
    contains(json, "\"latency_us\": {\"p50\": 50.000, \"p90\": 50.000, \"p99\": 50.000, "
                   "\"p999\": 50.000, \"p9999\": 50.000, \"max\": 50.000, \"min\": 50.000");
    contains(json, "\"client\": {\"cpu_us_per_message\": 2.000000, \"core_percent\": 0.100000}");
    contains(json, "\"cpu_us_per_message\": 3.000000");
    contains(json, "\"context_switches_per_message\": 0.500000");
    contains(json, "\"rss_bytes_per_idle_connection\": 64.000000");
    contains(json, "\"pss_bytes_per_idle_connection\": 63.000000");
}

TEST(what_was_not_measured_is_null)
{
    const char *json;

    json = text_of(export_json);
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
    contains(text_of(export_json), "\"lost\": 3");
}

TEST(trains_that_were_refused)
{
    lacks(text_of(report_text), "one by one");
    results.train_error = EMSGSIZE;
    contains(text_of(report_text),
             "! one by one: datagrams did not go in trains (Message too long)");
    contains(text_of(export_json), "\"one by one: ");
}

TEST(the_loop_is_told)
{
    contains(text_of(report_text), "closed loop");
    settings.rate = 100;
    contains(text_of(report_text), "open loop");
    contains(text_of(export_json), "\"loop\": \"open\"");
}

// Nothing that was measured is not 0.
TEST(no_messages_at_all)
{
    static char room[HGRM_ROOM];
    struct text text = text_in(room, sizeof room);

    results.server = (struct server_results){.cost = true, .cpu = 5};
    results_restart(&results);
    results.ended = 2000000000;
    assert_false(results_complete(&results));
    contains(text_of(report_text), "messages    0 in 2.000 s: - a second, - MB");
    contains(text_of(report_text), "latency     -\n");
    contains(text_of(report_text), "echo-bench  - us");
    contains(text_of(report_text), "server      - us of CPU a message");
    contains(text_of(export_json), "\"messages\": 0, \"seconds\": 2.000000, "
                                   "\"messages_per_second\": null");
    contains(text_of(export_json), "\"latency_us\": {\"p50\": null, \"p90\": null, \"p99\": null, "
                                   "\"p999\": null, \"p9999\": null, \"max\": null, \"min\": null");
    contains(text_of(export_json), "\"client\": {\"cpu_us_per_message\": null");
    contains(text_of(export_json), "\"pid\": 1, \"cpu_us_per_message\": null");
    contains(text_of(export_json), "\"distribution\": [], \"timeline\": []}");
    export_hgrm(&results.latency, &text);
    lacks(text_end(&text), "0.000");
}

// Five messages lie beyond a percentile that is shown, in the text; JSON has the number to judge
// by.
TEST(what_too_few_messages_bear_is_not_shown)
{
    static const struct {
        unsigned messages;
        const char *shown, *not_shown;
    } rows[] = {{5, "max", "p50"},
                {10, "p50 ", "p90"},
                {500, "p99 ", "p99.9"},
                {5000, "p99.9 ", "p99.99"},
                {49999, "p99.9 ", "p99.99"}};

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        results_restart(&results);
        histogram_record(&results.latency, 50000, rows[i].messages);
        contains(text_of(report_text), rows[i].shown);
        lacks(text_of(report_text), rows[i].not_shown);
    }
    histogram_record(&results.latency, 50000, 1);
    contains(text_of(report_text), "p99.99 ");
}

TEST(columns_are_aligned)
{
    const char *text;
    size_t column = 0;

    for (unsigned i = 1; i <= 60000; i++)
        histogram_record(&results.latency, i * UINT64_C(100000), 1);
    text = text_of(report_text);
    contains(text, "max       6,000,000.0 us");
    for (const char *at = strstr(text, " us"); at && at < strstr(text, "echo-bench  ");
         at = strstr(at + 1, " us")) {
        const char *line = at;

        while (line[-1] != '\n')
            line--;
        assert_true(column == 0 || column == (size_t)(at - line));
        column = (size_t)(at - line);
    }
    assert_int_equal(column, 33);
}

TEST(no_time_at_all)
{
    results.ended = results.started;
    contains(text_of(export_json), "\"seconds\": 0.000000, \"messages_per_second\": null");
}

TEST(what_makes_a_run_bad)
{
    assert_true(results_complete(&results));
    results.in_flight = 3;
    assert_false(results_complete(&results));
    contains(text_of(report_text), "in flight   3 messages");
    contains(text_of(export_json), "\"in_flight\": 3,");
    results.in_flight = 0;
    results.planned = 1000;
    results.unsent = 10;
    assert_true(results_complete(&results));
    results.unsent = 11;
    assert_false(results_complete(&results));
    results_fault(&results, FAULT_REFUSED, 1, "no");
    contains(text_of(export_json), "\"refused\": 1");
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
    export_hgrm(&results.latency, &text);
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
    const struct live live = {.shown = true, .us = "us", .rate = {[0 ... LIVE_POINTS - 1] = 12345}};
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
    struct live live = {.shown = true, .us = "us"};
    char room[256];
    struct text text = text_in(room, sizeof room);

    live_note(&live, 0, 1000000000);
    live_note(&live, 500, 1500000000);
    live_write(&live, 0.25, &results.latency, 80, &text);
    contains(text_end(&text), " 25 %       1000/s  p99 0.050 ms");
    live_note(&live, 0, 1600000000); // a new phase begins
    live_note(&live, 10, 1700000000);
    text = text_in(room, sizeof room);
    live_write(&live, 0.5, &results.latency, 80, &text);
    contains(text_end(&text), "        100/s");
}

static bool warns_of(unsigned number, const char *words)
{
    char room[256] = "";
    struct text text = text_in(room, sizeof room);

    if (!warning_write(number, &results, &text))
        return false;
    assert_false(text.cut);
    contains(text_end(&text), words);
    return true;
}

enum { BEHIND = FAULTS, LATE, FULL_CORE, DISTURBED };

TEST(a_quiet_run_has_no_warning)
{
    for (unsigned i = 0; i < WARNINGS; i++)
        assert_false(warns_of(i, ""));
    contains(text_of(export_json), "\"warnings\": []");
    lacks(text_of(report_text), "! ");
}

TEST(every_fault_has_its_advice)
{
    for (unsigned i = 0; i < FAULTS; i++) {
        results_fault(&results, (enum fault)i, 2, "no");
        assert_true(warns_of(i, fault_name((enum fault)i)));
    }
    contains(text_of(report_text), "! refused 2: see its --max-tcp");
    contains(text_of(export_json), "\"warnings\": [\"connect 2: ");
}

TEST(a_load_that_fell_behind)
{
    results.planned = 1000;
    results.unsent = 1;
    assert_true(warns_of(BEHIND, "of 1000 planned messages 99.90 % were sent"));
}

// Half of the latency, not of a hundredth of it.
TEST(a_generator_that_was_late)
{
    histogram_record(&results.lateness, 24000, 100);
    assert_false(warns_of(LATE, ""));
    histogram_record(&results.lateness, 26000, 100);
    assert_true(warns_of(LATE, "by 26.0 us"));
    contains(text_of(export_json), "\"lateness_us\": {\"p50\": 24.0");
    contains(text_of(report_text), "sent late by p50 24.1, p99 26.0, at most 26.0 us");
}

TEST(a_full_core)
{
    results.own_cpu = 1900000000;
    assert_true(warns_of(FULL_CORE, "its own speed may be the limit"));
    results.server = (struct server_results){.cost = true, .cpu = 1910000000};
    assert_false(warns_of(FULL_CORE, "")); // the server was full first
    results.server.cpu = 1000000000;
    assert_true(warns_of(FULL_CORE, ""));
    results.own_cpu = 1890000000;
    assert_false(warns_of(FULL_CORE, ""));
    results.own_cpu = results.wall = 199999999; // too short to tell
    assert_false(warns_of(FULL_CORE, ""));
}

TEST(others_on_the_machine)
{
    results.machine = (struct machine_results){.known = true, .busy = UINT64_C(1) << 40};
    assert_false(warns_of(DISTURBED, "")); // the server may be one of them
    results.server = (struct server_results){.cost = true, .cpu = 1};
    assert_true(warns_of(DISTURBED, "other programs took"));
    results.machine.busy = 0;
    assert_false(warns_of(DISTURBED, ""));
}

TEST(intervals)
{
    const struct interval *first, *second;

    results_restart(&results);
    histogram_record(&results.latency, 50000, 10);
    first = results_cut(&results, 250000000);
    second = results_cut(&results, 500000000);
    assert_int_equal(first->messages, 10);
    assert_in_range(first->p50, 50000, 50500);
    assert_int_equal(second->began, 250000000);
    assert_int_equal(second->messages, 0);
    histogram_record(&results.latency, 90000, 3);
    assert_in_range(results_cut(&results, 750000000)->max, 90000, 90900);
    contains(text_of(export_json), "{\"began\": 0.250, \"ended\": 0.500, \"messages\": 0},");
    contains(text_of(export_json),
             "{\"began\": 0.500, \"ended\": 0.750, \"messages\": 3, \"p50_us\": 90");
}

TEST(a_timeline_that_is_full_still_fits)
{
    results_restart(&results);
    for (unsigned i = 1; i <= INTERVALS_MAX; i++) {
        histogram_record(&results.latency, UINT64_MAX >> 22, 123456789);
        results_cut(&results, i * UINT64_C(86400000000000));
    }
    text_of(export_json);
}

// Of six, one lies on either side of the median but in 2 of 64 cases: all of them are the interval.
// Of nine, one at each end may go, of five none is enough.
TEST(confidence)
{
    double values[] = {5, 1, 4, 2, 3, 6, 9, 7, 8};
    struct spread spread = spread_of(values, 9);

    assert_true(spread.confident);
    assert_true(spread.low == 1 && spread.high == 9 && spread.median == 5);
    assert_true(spread.from == 2 && spread.to == 8);
    spread = spread_of(values, 6);
    assert_true(spread.confident && spread.from == 1 && spread.to == 6 && spread.median == 3.5);
    assert_false(spread_of(values, 5).confident);
    assert_true(spread_of(values, 1).median == 1);
}

static const char *summary(struct results *all, unsigned count)
{
    static char room[SUMMARY_ROOM];
    struct text text = text_in(room, sizeof room);

    summary_text(&settings, &(struct runs){all, count}, &text);
    assert_false(text.cut);
    return text_end(&text);
}

TEST(a_summary_of_runs)
{
    static struct results all[2];

    all[0] = all[1] = results;
    histogram_record(&all[1].latency, 50000, 100);
    contains(summary(all, 2), "rate                525           500           550    9.5 % \n");
    contains(summary(all, 2), "with 6 runs and more");
    lacks(summary(all, 2), "wide");
    lacks(summary(all, 2), "p99.9");
    histogram_record(&all[1].latency, 50000, 10);
    contains(summary(all, 2), "rate                528           500           555   10.4 %!\n");
    contains(summary(all, 2), "! wide: ");
    all[1].planned = 10;
    all[1].unsent = 5;
    contains(summary(all, 2), "! run 2: behind: of 10 planned");
}

TEST(a_summary_fits)
{
    static struct results all[RUNS_MAX];

    for (unsigned i = 0; i < RUNS_MAX; i++) {
        all[i] = results;
        for (unsigned fault = 0; fault < FAULTS; fault++)
            results_fault(&all[i], (enum fault)fault, UINT64_MAX >> 8, "no");
        all[i].planned = all[i].unsent = UINT64_MAX;
    }
    contains(summary(all, RUNS_MAX), "95 % confident");
}
