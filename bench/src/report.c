// SPDX-License-Identifier: MIT
#include "report.h"

#include <stdio.h>

#include "ground/util.h"

static const struct {
    const char *label, *key;
    double share;
} percentiles[] = {
    {"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"p99.9", "p999", 0.999}};

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

// VALUE for each message, 0 if there were none.
static double per_message(const struct results *results, double value)
{
    return results->latency.total == 0 ? 0 : value / (double)results->latency.total;
}

static double rate(const struct results *results)
{
    double seconds = results_seconds(results);

    return seconds > 0 ? (double)results->latency.total / seconds : 0;
}

static double wakeups_per_second(const struct server_results *server)
{
    return (double)server->wakeups * 1e9 / (double)server->rest_time;
}

static double microjoules_per_message(const struct results *results)
{
    return per_message(results, (double)results->server.energy_used);
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
}

static void write_latency(const struct results *results, struct text *text)
{
    char time[REPORT_TIME_MAX];

    text_string(text, "latency   ");
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        text_format(
            text, "  %s %s", percentiles[i].label,
            report_time(time, histogram_percentile(&results->latency, percentiles[i].share)));
    text_format(text, "  max %s\n", report_time(time, results->latency.max));
}

static void write_server(const struct settings *s, const struct results *results, struct text *text)
{
    const struct server_results *server = &results->server;

    if (server->cost)
        text_format(text, "server      %.3f us of CPU a message, %.4f context switches a message\n",
                    per_message(results, (double)server->cpu / 1e3),
                    per_message(results, (double)server->switches));
    else
        text_format(text, "server      process %d cannot be looked at\n", (int)s->pid);
    if (server->memory)
        text_format(text, "idle        %u connections: %.1f bytes of RSS, %.1f of PSS for each\n",
                    s->idle, (double)server->rss / s->idle, (double)server->pss / s->idle);
    if (server->rest)
        text_format(text, "at rest     %.2f wakeups a second, in %.2f s\n",
                    wakeups_per_second(server), (double)server->rest_time / 1e9);
    if (server->energy)
        text_format(text, "energy      %.3f J for a million messages, by the whole machine\n",
                    microjoules_per_message(results));
    else
        text_string(text, "energy      not measured: /sys/class/powercap cannot be read here\n");
}

void report_text(const struct settings *settings, const struct results *results, struct text *text)
{
    write_what(settings, text);
    if (results->interrupted)
        text_string(text, "interrupted: the results so far\n");
    text_format(text, "messages    %llu in %.3f s: %.0f a second, %.2f MB a second each way\n",
                (unsigned long long)results->latency.total, results_seconds(results), rate(results),
                rate(results) * (double)settings->size / 1e6);
    write_faults(results, text);
    write_latency(results, text);
    text_format(text, "echo-bench  %.3f us of CPU a message\n",
                per_message(results, (double)results->own_cpu / 1e3));
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
    text_format(text, ", \"unsent\": %llu, \"interrupted\": %s",
                (unsigned long long)results->unsent, results->interrupted ? "true" : "false");
}

static void json_latency(const struct results *results, struct text *text)
{
    text_string(text, ", \"latency_us\": {");
    for (size_t i = 0; i < ARRAY_LENGTH(percentiles); i++)
        text_format(text, "\"%s\": %.3f, ", percentiles[i].key,
                    (double)histogram_percentile(&results->latency, percentiles[i].share) / 1e3);
    text_format(text, "\"max\": %.3f, \"mean\": %.3f}", (double)results->latency.max / 1e3,
                histogram_mean(&results->latency) / 1e3);
}

// A figure that could not be measured is null, never a guess.
static void json_figure(const char *key, bool known, double value, struct text *text)
{
    if (known)
        text_format(text, "\"%s\": %.6f", key, value);
    else
        text_format(text, "\"%s\": null", key);
}

static void json_server(const struct settings *s, const struct results *results, struct text *text)
{
    const struct server_results *server = &results->server;

    text_format(text, ", \"server\": {\"pid\": %d, ", (int)s->pid);
    json_figure("cpu_us_per_message", server->cost, per_message(results, (double)server->cpu / 1e3),
                text);
    text_string(text, ", ");
    json_figure("context_switches_per_message", server->cost,
                per_message(results, (double)server->switches), text);
    text_string(text, ", ");
    json_figure("rss_bytes_per_idle_connection", server->memory, (double)server->rss / s->idle,
                text);
    text_string(text, ", ");
    json_figure("pss_bytes_per_idle_connection", server->memory, (double)server->pss / s->idle,
                text);
    text_string(text, ", ");
    json_figure("wakeups_per_second_at_rest", server->rest, wakeups_per_second(server), text);
    text_string(text, ", ");
    json_figure("joules_per_million_messages", server->energy, microjoules_per_message(results),
                text);
    text_string(text, "}");
}

void report_json(const struct settings *settings, const struct results *results, struct text *text)
{
    json_what(settings, text);
    text_format(text, ", \"messages\": %llu, \"seconds\": %.6f, \"messages_per_second\": %.1f",
                (unsigned long long)results->latency.total, results_seconds(results),
                rate(results));
    json_faults(results, text);
    json_latency(results, text);
    text_format(text, ", \"client\": {\"cpu_us_per_message\": %.6f}",
                per_message(results, (double)results->own_cpu / 1e3));
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
    text_format(text, "%12.6f %2.12f %10llu\n", (double)latency->max / 1e6, 1.0,
                (unsigned long long)latency->total);
    text_format(text, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n",
                histogram_mean(latency) / 1e6, histogram_deviation(latency) / 1e6);
    text_format(text, "#[Max     = %12.6f, Total count    = %12llu]\n", (double)latency->max / 1e6,
                (unsigned long long)latency->total);
    text_format(text, "#[Buckets = %12d, SubBuckets     = %12d]\n",
                HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS, HISTOGRAM_STEPS);
}
