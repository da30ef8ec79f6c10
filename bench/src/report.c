// SPDX-License-Identifier: MIT
#include "report.h"

#include <stdio.h>

#include "ground/util.h"

static const struct {
    const char *label, *key;
    double share;
} percentiles[] = {{"p50", "p50", 0.5},
                   {"p90", "p90", 0.9},
                   {"p99", "p99", 0.99},
                   {"p99.9", "p999", 0.999},
                   {"max", "max", 1}};

const char *report_time(char room[REPORT_TIME_MAX], uint64_t nanoseconds)
{
    double us = (double)nanoseconds / 1e3;

    if (us < 1000)
        snprintf(room, REPORT_TIME_MAX, "%.1f us", us);
    else if (us < 1e6)
        snprintf(room, REPORT_TIME_MAX, "%.2f ms", us / 1e3);
    else
        snprintf(room, REPORT_TIME_MAX, "%.2f s", us / 1e6);
    return room;
}

const char *report_latency(char room[REPORT_TIME_MAX], const struct histogram *latency,
                           double share)
{
    return latency->total == 0 ? "-" : report_time(room, histogram_percentile(latency, share));
}

// A figure, which may not have been measured: that is not 0.
struct figure {
    bool known;
    double value;
};

static struct figure quotient(bool known, double value, double divisor)
{
    return (struct figure){known && divisor > 0, divisor > 0 ? value / divisor : 0};
}

static struct figure per_message(const struct results *results, bool known, uint64_t value,
                                 double unit)
{
    return quotient(known, (double)value / unit, (double)results->latency.total);
}

static struct figure rate(const struct results *results, double unit)
{
    return quotient(results->latency.total > 0, (double)results->latency.total / unit,
                    results_seconds(results));
}

static struct figure wakeups(const struct server_results *server)
{
    return quotient(server->rest, (double)server->wakeups * 1e9, (double)server->rest_time);
}

static void put(struct figure figure, int decimals, const char *unknown, struct text *text)
{
    if (figure.known)
        text_format(text, "%.*f", decimals, figure.value);
    else
        text_string(text, unknown);
}

// BEFORE, the figure and AFTER.
static void write_figure(const char *before, struct figure figure, int decimals, const char *after,
                         struct text *text)
{
    text_string(text, before);
    put(figure, decimals, "-", text);
    text_string(text, after);
}

static void write_what(const struct settings *s, struct text *text)
{
    text_format(text, "echo-bench: %s ", s->udp ? "udp" : "tcp");
    text_string(text, s->server);
    text_format(text, ", %u %s", s->connections,
                s->connections == 1 ? "connection" : "connections");
    if (s->depth > 1)
        text_format(text, ", %u in flight on each", s->depth);
    text_format(text, ", %u bytes%s%s\n", s->size, s->churn ? ", a connection a message" : "",
                s->verify ? ", every byte compared" : "");
    if (s->rate > 0)
        text_format(text,
                    "open loop: %u messages a second planned, latency from the planned time\n\n",
                    s->rate);
    else
        text_string(text, "closed loop: each answer sends the next message\n\n");
}

static void write_faults(const struct results *results, struct text *text)
{
    text_format(text, "errors      %llu", (unsigned long long)results_faults(results));
    for (unsigned i = 0; i < FAULTS; i++)
        if (results->faults[i] > 0)
            text_format(text, "  %s %llu", fault_name((enum fault)i),
                        (unsigned long long)results->faults[i]);
    text_string(text, "\n");
    if (results->first_fault[0])
        text_format(text, "            the first: %s\n", results->first_fault);
    if (results->unsent > 0)
        text_format(text, "unsent      %llu planned messages: the rate was not reached\n",
                    (unsigned long long)results->unsent);
    if (results->in_flight > 0)
        text_format(text, "in flight   %llu messages, when it was interrupted\n",
                    (unsigned long long)results->in_flight);
}

static void write_latency(const struct results *results, struct text *text)
{
    char time[REPORT_TIME_MAX];

    text_string(text, "latency   ");
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        text_format(text, "  %s %s", percentiles[i].label,
                    report_latency(time, &results->latency, percentiles[i].share));
    text_string(text, "\n");
}

static void write_server(const struct settings *s, const struct results *results, struct text *text)
{
    const struct server_results *server = &results->server;

    write_figure("server      ", per_message(results, server->cost, server->cpu, 1e3), 3,
                 " us of CPU a message, ", text);
    write_figure("", per_message(results, server->cost, server->switches, 1), 4,
                 " context switches a message\n", text);
    if (s->idle > 0) {
        text_format(text, "idle        %u connections: ", s->idle);
        write_figure("", quotient(server->memory, (double)server->rss, s->idle), 1,
                     " bytes of RSS, ", text);
        write_figure("", quotient(server->memory, (double)server->pss, s->idle), 1,
                     " of PSS for each\n", text);
    }
    if (s->rest > 0)
        write_figure("at rest     ", wakeups(server), 2, " wakeups a second\n", text);
    if (server->energy)
        write_figure("energy      ", per_message(results, true, server->energy_used, 1), 3,
                     " J for a million messages, by the whole machine\n", text);
    else
        text_string(text, "energy      not measured: /sys/class/powercap cannot be read here\n");
}

void report_text(const struct settings *settings, const struct results *results, struct text *text)
{
    write_what(settings, text);
    if (results->interrupted)
        text_string(text, "interrupted: the results so far\n");
    text_format(text, "messages    %llu in %.3f s: ", (unsigned long long)results->latency.total,
                results_seconds(results));
    write_figure("", rate(results, 1), 0, " a second, ", text);
    write_figure("", rate(results, 1e6 / settings->size), 2, " MB a second each way\n", text);
    write_faults(results, text);
    write_latency(results, text);
    write_figure("echo-bench  ", per_message(results, true, results->own_cpu, 1e3), 3,
                 " us of CPU a message\n", text);
    if (settings->pid > 0)
        write_server(settings, results, text);
}

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
    text_string(text, "{\"server_address\": ");
    json_string(s->server, text);
    text_format(text, ", \"protocol\": \"%s\", \"loop\": \"%s\", \"connections\": %u",
                s->udp ? "udp" : "tcp", s->rate > 0 ? "open" : "closed", s->connections);
    text_format(text, ", \"depth\": %u, \"size\": %u, \"reply_size\": %u, \"idle\": %u", s->depth,
                s->size, s->reply_size, s->idle);
    text_format(text, ", \"rate\": %u, \"churn\": %s, \"verify\": %s", s->rate,
                s->churn ? "true" : "false", s->verify ? "true" : "false");
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
    text_format(text, ", \"unsent\": %llu, \"in_flight\": %llu, \"interrupted\": %s",
                (unsigned long long)results->unsent, (unsigned long long)results->in_flight,
                results->interrupted ? "true" : "false");
}

static void json_figure(const char *before, const char *key, struct figure figure, int decimals,
                        struct text *text)
{
    text_format(text, "%s\"%s\": ", before, key);
    put(figure, decimals, "null", text);
}

static void json_latency(const struct histogram *latency, struct text *text)
{
    bool known = latency->total > 0;

    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++) {
        double value = (double)histogram_percentile(latency, percentiles[i].share);

        json_figure(i == 0 ? ", \"latency_us\": {" : ", ", percentiles[i].key,
                    quotient(known, value, 1e3), 3, text);
    }
    json_figure(", ", "mean", quotient(known, histogram_mean(latency), 1e3), 3, text);
    text_string(text, "}");
}

static void json_server(const struct settings *s, const struct results *results, struct text *text)
{
    const struct server_results *server = &results->server;
    const struct {
        const char *key;
        struct figure figure;
    } figures[] = {
        {"cpu_us_per_message", per_message(results, server->cost, server->cpu, 1e3)},
        {"context_switches_per_message", per_message(results, server->cost, server->switches, 1)},
        {"rss_bytes_per_idle_connection", quotient(server->memory, (double)server->rss, s->idle)},
        {"pss_bytes_per_idle_connection", quotient(server->memory, (double)server->pss, s->idle)},
        {"wakeups_per_second_at_rest", wakeups(server)},
        {"joules_per_million_messages",
         per_message(results, server->energy, server->energy_used, 1)},
    };

    text_format(text, ", \"server\": {\"pid\": %d", (int)s->pid);
    for (size_t i = 0; i < ARRAY_LENGTH(figures); i++)
        json_figure(", ", figures[i].key, figures[i].figure, 6, text);
    text_string(text, "}");
}

void report_json(const struct settings *settings, const struct results *results, struct text *text)
{
    json_what(settings, text);
    text_format(text, ", \"messages\": %llu, \"seconds\": %.6f",
                (unsigned long long)results->latency.total, results_seconds(results));
    json_figure(", ", "messages_per_second", rate(results, 1), 1, text);
    json_faults(results, text);
    json_latency(&results->latency, text);
    json_figure(", \"client\": {", "cpu_us_per_message",
                per_message(results, true, results->own_cpu, 1e3), 6, text);
    text_string(text, "}");
    if (settings->pid > 0)
        json_server(settings, results, text);
    text_string(text, "}\n");
}

// The formats are those of HdrHistogram's own output, which its plotters take apart.
void report_hgrm(const struct results *results, struct text *text)
{
    const struct histogram *latency = &results->latency;
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
