// SPDX-License-Identifier: MIT
#include "export.h"

#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "figure.h"
#include "ground/util.h"
#include "warning.h"

static void json_string(const char *string, struct text *text)
{
    text_string(text, "\"");
    for (const char *at = string; *at; at++) {
        if (*at == '"' || *at == '\\')
            text_string(text, "\\");
        if ((unsigned char)*at < ' ')
            text_format(text, "\\u%04x", *at);
        else
            text_bytes(text, at, 1);
    }
    text_string(text, "\"");
}

static void json_what(const struct settings *s, struct text *text)
{
    text_string(text, "{\"version\": \"" VERSION "\", \"date\": \"");
    text_time(text, (struct timespec){.tv_sec = time(NULL)}, 1);
    text_string(text, "\", \"server_address\": ");
    json_string(s->server, text);
    text_format(text, ", \"protocol\": \"%s\", \"loop\": \"%s\", \"connections\": %u",
                s->udp ? "udp" : "tcp", s->rate > 0 ? "open" : "closed", s->connections);
    text_format(text, ", \"depth\": %u, \"size\": %u, \"reply_size\": %u, \"idle\": %u", s->depth,
                s->size, s->reply_size, s->idle);
    text_format(text, ", \"rate\": %u, \"churn\": %s, \"gso\": %s, \"verify\": %s", s->rate,
                s->churn ? "true" : "false", s->gso ? "true" : "false",
                s->verify ? "true" : "false");
}

static void json_faults(const struct results *results, struct text *text)
{
    text_format(text, ", \"errors\": %llu, \"error_kinds\": {",
                (unsigned long long)results_faults(results));
    for (unsigned i = 0; i < FAULTS; i++)
        text_format(text, "%s\"%s\": %llu", i == 0 ? "" : ", ", fault_name((enum fault)i),
                    (unsigned long long)results->faults[i]);
    text_string(text, "}, \"first_error\": ");
    json_string(results->first_fault, text);
    text_format(text,
                ", \"planned\": %llu, \"unsent\": %llu, \"in_flight\": %llu, \"interrupted\": %s",
                (unsigned long long)results->planned, (unsigned long long)results->unsent,
                (unsigned long long)results->in_flight, results->interrupted ? "true" : "false");
}

static void json_figure(const char *before, const char *key, struct figure figure, int decimals,
                        struct text *text)
{
    text_format(text, "%s\"%s\": ", before, key);
    if (figure.known)
        text_format(text, "%.*f", decimals, figure.value);
    else
        text_string(text, "null");
}

static const struct {
    const char *key;
    double share;
} percentiles[] = {{"p50", 0.5},    {"p90", 0.9},      {"p99", 0.99},
                   {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}};

// Whatever the number of messages is: who reads it has that too.
static void json_percentiles(const char *before, const struct histogram *histogram,
                             struct text *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        json_figure(i == 0 ? before : ", ", percentiles[i].key,
                    figure_percentile(histogram, percentiles[i].share), 3, text);
}

static void json_latency(const struct results *results, struct text *text)
{
    static const char *const names[] = {"min", "mean", "deviation"};

    json_percentiles(", \"latency_us\": {", &results->latency, text);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        json_figure(", ", names[i], figure_named(names[i], results), 3, text);
    text_string(text, "}");
    if (results->lateness.total > 0) {
        json_percentiles(", \"lateness_us\": {", &results->lateness, text);
        text_string(text, "}");
    }
}

// The whole distribution, as HdrHistogram cuts it: percentile and microseconds.
static void json_distribution(const struct histogram *latency, struct text *text)
{
    uint64_t value = 0;

    text_string(text, ", \"distribution\": [");
    for (unsigned step = 0; latency->total > 0 && value < latency->max; step++) {
        double share = histogram_share(step);

        value = histogram_percentile(latency, share);
        text_format(text, "%s[%.7g, %.3f]", step > 0 ? ", " : "", share * 100, (double)value / 1e3);
    }
    text_string(text, "]");
}

static void json_timeline(const struct results *results, struct text *text)
{
    text_string(text, ", \"timeline\": [");
    for (unsigned i = 0; i < results->interval_count; i++) {
        const struct interval *at = &results->intervals[i];

        text_format(text, "%s{\"began\": %.3f, \"ended\": %.3f, \"messages\": %llu",
                    i > 0 ? ", " : "", (double)at->began / 1e9, (double)at->ended / 1e9,
                    (unsigned long long)at->messages);
        if (at->messages > 0)
            text_format(text, ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f",
                        (double)at->p50 / 1e3, (double)at->p99 / 1e3, (double)at->max / 1e3);
        text_string(text, "}");
    }
    text_string(text, "]");
}

static void json_warnings(const struct results *results, struct text *text)
{
    const char *between = "";

    text_string(text, ", \"warnings\": [");
    for (unsigned i = 0; i < WARNINGS; i++) {
        char room[256];
        struct text warning = text_in(room, sizeof room);

        if (!warning_write(i, results, &warning))
            continue;
        text_string(text, between);
        json_string(text_end(&warning), text);
        between = ", ";
    }
    text_string(text, "]");
}

// Where it was measured, and who else was at work there: per cent of all cores. The server is one
// of the others if its process is not known.
static void json_machine(const struct results *results, struct text *text)
{
    const struct machine_results *machine = &results->machine;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct utsname name;

    uname(&name); // cannot fail
    text_string(text, ", \"machine\": {\"kernel\": ");
    json_string(name.release, text);
    text_format(text, ", \"cores\": %ld", cores);
    json_figure(", ", "others_percent",
                figure_quotient(machine->known, 100 * results_others(results), 1), 1, text);
    json_figure(", ", "stolen_percent",
                figure_quotient(machine->known, 100 * (double)machine->stolen,
                                (double)results->wall * (double)cores),
                1, text);
    text_string(text, "}");
}

static void json_server(const struct settings *s, const struct results *results, struct text *text)
{
    static const struct {
        const char *key, *figure;
    } keys[] = {{"cpu_us_per_message", "cpu"},
                {"context_switches_per_message", "switches"},
                {"rss_bytes_per_idle_connection", "rss"},
                {"pss_bytes_per_idle_connection", "pss"},
                {"wakeups_per_second_at_rest", "wakeups"},
                {"joules_per_million_messages", "joules"},
                {"core_percent", "core"}};

    text_format(text, ", \"server\": {\"pid\": %d", (int)s->pid);
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        json_figure(", ", keys[i].key, figure_named(keys[i].figure, results), 6, text);
    text_string(text, "}");
}

void export_json(const struct settings *settings, const struct results *results, struct text *text)
{
    json_what(settings, text);
    text_format(text, ", \"messages\": %llu, \"seconds\": %.6f",
                (unsigned long long)results->latency.total, results_seconds(results));
    if (settings->turns)
        text_format(text, ", \"turns\": %u", results->turns);
    json_figure(", ", "messages_per_second", figure_named("rate", results), 1, text);
    json_faults(results, text);
    json_latency(results, text);
    json_figure(", \"client\": {", "cpu_us_per_message", figure_named("own_cpu", results), 6, text);
    json_figure(", ", "core_percent", figure_named("own_core", results), 6, text);
    text_string(text, "}");
    if (settings->pid > 0)
        json_server(settings, results, text);
    json_machine(results, text);
    json_warnings(results, text);
    json_distribution(&results->latency, text);
    json_timeline(results, text);
    text_string(text, "}");
}

// The formats are those of HdrHistogram's own output, which its plotters take apart.
void export_hgrm(const struct histogram *latency, struct text *text)
{
    uint64_t value = 0;

    text_format(text, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                "1/(1-Percentile)");
    for (unsigned step = 0; latency->total > 0 && value < latency->max; step++) {
        double share = histogram_share(step);

        value = histogram_percentile(latency, share);
        text_format(text, "%12.6f %2.12f %10llu %14.2f\n", (double)value / 1e6, share,
                    (unsigned long long)histogram_rank(latency, value), 1 / (1 - share));
    }
    if (latency->total > 0)
        text_format(text,
                    "%12.6f %2.12f %10llu\n"
                    "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n"
                    "#[Max     = %12.6f, Total count    = %12llu]\n",
                    (double)latency->max / 1e6, 1.0, (unsigned long long)latency->total,
                    histogram_mean(latency) / 1e6, histogram_deviation(latency) / 1e6,
                    (double)latency->max / 1e6, (unsigned long long)latency->total);
    text_format(text, "#[Buckets = %12d, SubBuckets     = %12d]\n",
                HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS, HISTOGRAM_STEPS);
}
