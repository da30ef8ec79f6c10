// SPDX-License-Identifier: MIT
#include "report.h"

#include "figure.h"
#include "ground/util.h"
#include "warning.h"

// BEFORE, the figure and AFTER.
static void write_figure(const char *before, struct figure figure, int decimals, const char *after,
                         struct text *text)
{
    char number[FIGURE_TEXT_MAX];

    text_string(text, before);
    text_string(text, figure_text(number, figure, decimals));
    text_string(text, after);
}

void report_what(const struct settings *s, struct text *text)
{
    text_format(text, "echo-bench: %s ", s->udp ? "udp" : "tcp");
    text_string(text, s->server);
    text_format(text, ", %u %s", s->connections,
                s->connections == 1 ? "connection" : "connections");
    if (s->depth > 1)
        text_format(text, ", %u in flight on each", s->depth);
    text_format(text, ", %u bytes%s%s%s\n", s->size, s->churn ? ", a connection a message" : "",
                s->gso ? ", in trains" : "", s->verify ? ", every byte compared" : "");
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
    if (results->in_flight > 0)
        text_format(text, "in flight   %llu messages, when it was interrupted\n",
                    (unsigned long long)results->in_flight);
}

// No bar is so short that it cannot be seen.
static void write_bar(const struct histogram_row *row, uint64_t most, bool unicode,
                      struct text *text)
{
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const unsigned columns = 24, each = unicode ? ARRAY_LENGTH(parts) : 1;
    unsigned length = (unsigned)(row->count * columns * each / most);
    char low[FIGURE_TEXT_MAX], high[FIGURE_TEXT_MAX], count[FIGURE_TEXT_MAX];

    length = length == 0 && row->count > 0 ? 1 : length;
    text_format(
        text, "%12s %s %11s  ", figure_text(low, (struct figure){true, (double)row->low / 1e3}, 1),
        unicode ? "–" : "-", figure_text(high, (struct figure){true, (double)row->high / 1e3}, 1));
    for (unsigned i = 0; i < length / each; i++)
        text_string(text, unicode ? "█" : "#");
    text_string(text, parts[length % each]);
    text_format(text, "%*s %s\n", (int)(columns - (length + each - 1) / each), "",
                figure_text(count, (struct figure){true, (double)row->count}, 0));
}

// The figures of the latency, and beside each a row of the histogram.
static void write_latency(const struct settings *s, const struct results *results,
                          struct text *text)
{
    struct histogram_row rows[HISTOGRAM_ROWS];
    unsigned count = histogram_rows(&results->latency, rows), line = 0;
    const struct figure_row *figure = figure_find("min", 3), *last = figure_find("max", 3);
    char number[FIGURE_TEXT_MAX];
    uint64_t most = 0;

    for (unsigned i = 0; i < count; i++)
        most = rows[i].count > most ? rows[i].count : most;
    text_format(text, "latency     %s", count == 0 ? "-\n" : "");
    for (; count > 0 && (figure <= last || line < count); figure++) {
        bool shown = figure <= last && figure_of(figure, results).known;

        if (!shown && figure <= last)
            continue;
        text_format(text, "%*s%-9s %11s %2s", line > 0 ? 12 : 0, "", shown ? figure->name : "",
                    shown ? figure_text(number, figure_of(figure, results), 1) : "",
                    shown ? s->us : "");
        if (line < count)
            write_bar(&rows[line], most, s->unicode, text);
        else
            text_string(text, "\n");
        line++;
    }
}

static void write_own(const struct settings *s, const struct results *results, struct text *text)
{
    const struct histogram *late = &results->lateness;
    char p50[FIGURE_TEXT_MAX], p99[FIGURE_TEXT_MAX], max[FIGURE_TEXT_MAX];

    write_figure("echo-bench  ", figure_named("own_cpu", results), 3, " ", text);
    text_format(text, "%s of CPU a message", s->us);
    write_figure(", ", figure_named("own_core", results), 0, " % of a core\n", text);
    if (late->total > 0)
        text_format(text, "            sent late by p50 %s, p99 %s, at most %s %s\n",
                    figure_text(p50, figure_percentile(late, 0.5), 1),
                    figure_text(p99, figure_percentile(late, 0.99), 1),
                    figure_text(max, figure_percentile(late, 1), 1), s->us);
}

static void write_server(const struct settings *s, const struct results *results, struct text *text)
{
    write_figure("server      ", figure_named("cpu", results), 3, " ", text);
    text_format(text, "%s of CPU a message", s->us);
    write_figure(", ", figure_named("core", results), 0, " % of a core, ", text);
    write_figure("", figure_named("switches", results), 4, " context switches a message\n", text);
    if (s->idle > 0) {
        text_format(text, "idle        %u connections: ", s->idle);
        write_figure("", figure_named("rss", results), 1, " bytes of RSS, ", text);
        write_figure("", figure_named("pss", results), 1, " of PSS for each\n", text);
    }
    if (s->rest > 0)
        write_figure("at rest     ", figure_named("wakeups", results), 2, " wakeups a second\n",
                     text);
    if (results->server.energy)
        write_figure("energy      ", figure_named("joules", results), 3,
                     " J for a million messages, by the whole machine\n", text);
    else
        text_string(text, "energy      not measured: /sys/class/powercap cannot be read here\n");
}

void report_warnings(const struct results *results, const char *before, struct text *text)
{
    for (unsigned i = 0; i < WARNINGS; i++) {
        size_t length = text->length;

        text_string(text, before);
        if (warning_write(i, results, text))
            text_string(text, "\n");
        else
            text->length = length;
    }
}

void report_text(const struct settings *settings, const struct results *results, struct text *text)
{
    report_what(settings, text);
    if (results->interrupted)
        text_string(text, "interrupted: the results so far\n");
    text_format(text, "messages    %llu in %.3f s: ", (unsigned long long)results->latency.total,
                results_seconds(results));
    struct figure rate = figure_named("rate", results);
    write_figure("", rate, 0, " a second, ", text);
    rate.value *= settings->size / 1e6;
    write_figure("", rate, 2, " MB a second each way\n", text);
    write_faults(results, text);
    write_latency(settings, results, text);
    write_own(settings, results, text);
    if (settings->pid > 0)
        write_server(settings, results, text);
    report_warnings(results, "! ", text);
}
