// SPDX-License-Identifier: MIT
#include "figure.h"

#include <stdio.h>
#include <string.h>

enum { BEYOND_MIN = 5 }; // values beyond a percentile: with fewer it is chance

struct figure figure_quotient(bool known, double value, double divisor)
{
    return (struct figure){known && divisor > 0, divisor > 0 ? value / divisor : 0};
}

struct figure figure_percentile(const struct histogram *histogram, double share)
{
    return figure_quotient(histogram->total > 0, (double)histogram_percentile(histogram, share),
                           1e3);
}

bool figure_borne(const struct histogram *histogram, double share)
{
    // What floating point takes from 1 - 0.999 must not make it too few.
    return histogram->total > 0 &&
           (share >= 1 || (1 - share) * (double)histogram->total > BEYOND_MIN - 1e-6);
}

// What each row is made of.
#define FIGURE(name, known, value, divisor)                                                        \
    static struct figure name(const struct results *r)                                             \
    {                                                                                              \
        return figure_quotient(known, (double)(value), (double)(divisor));                         \
    }

FIGURE(rate, r->latency.total > 0, r->latency.total, results_seconds(r))
FIGURE(least, r->latency.total > 0, histogram_percentile(&r->latency, 0), 1e3)
FIGURE(mean, r->latency.total > 0, histogram_mean(&r->latency), 1e3)
FIGURE(deviation, r->latency.total > 0, histogram_deviation(&r->latency), 1e3)
FIGURE(most, r->latency.total > 0, r->latency.max, 1e3)
FIGURE(lateness, r->lateness.total > 0, histogram_percentile(&r->lateness, 0.99), 1e3)
FIGURE(messages, true, r->latency.total, 1)
FIGURE(errors, true, results_faults(r), 1)
FIGURE(sent, true, 100 * results_sent(r), 1)
FIGURE(cpu, r->server.cost, (double)r->server.cpu / 1e3, r->latency.total)
FIGURE(switches, r->server.cost, r->server.switches, r->latency.total)
FIGURE(rss, r->server.memory, r->server.rss, r->server.idle)
FIGURE(pss, r->server.memory, r->server.pss, r->server.idle)
FIGURE(joules, r->server.energy, r->server.energy_used, r->latency.total)
FIGURE(core, r->server.cost, 100 * r->server.cpu, r->wall)
FIGURE(own_cpu, true, (double)r->own_cpu / 1e3, r->latency.total)
FIGURE(own_core, true, 100 * r->own_cpu, r->wall)
FIGURE(wakeups, r->server.rest, (double)r->server.wakeups * 1e9, r->server.rest_time)

const struct figure_row figure_rows[FIGURES] = {
    {"rate", rate, 0, false, true, 0},
    {"min", least, 0, true, false, 1},
    {"mean", mean, 0, true, false, 1},
    {"deviation", deviation, 0, true, false, 1},
    {"p50", NULL, 0.5, true, true, 1},
    {"p90", NULL, 0.9, true, true, 1},
    {"p99", NULL, 0.99, true, true, 1},
    {"p99.9", NULL, 0.999, true, true, 1},
    {"p99.99", NULL, 0.9999, true, true, 1},
    {"max", most, 0, true, true, 1},
    {"lateness", lateness, 0, true, false, 1},
    {"messages", messages, 0, false, false, 0},
    {"errors", errors, 0, false, true, 0},
    {"sent", sent, 0, false, false, 2},
    {"cpu", cpu, 0, true, true, 3},
    {"switches", switches, 0, false, true, 4},
    {"rss", rss, 0, false, true, 1},
    {"pss", pss, 0, false, false, 1},
    {"joules", joules, 0, false, false, 3},
    {"core", core, 0, false, false, 1},
    {"own_cpu", own_cpu, 0, true, false, 3},
    {"own_core", own_core, 0, false, false, 1},
    {"wakeups", wakeups, 0, false, true, 2},
};

const struct figure_row *figure_find(const char *name, size_t length)
{
    for (size_t i = 0; i < FIGURES; i++)
        if (strlen(figure_rows[i].name) == length && memcmp(figure_rows[i].name, name, length) == 0)
            return &figure_rows[i];
    return NULL;
}

struct figure figure_of(const struct figure_row *row, const struct results *results)
{
    struct figure figure = {.known = false};

    if (row && row->of)
        return row->of(results);
    if (row && figure_borne(&results->latency, row->share))
        figure = figure_percentile(&results->latency, row->share);
    return figure;
}

struct figure figure_named(const char *name, const struct results *results)
{
    return figure_of(figure_find(name, strlen(name)), results);
}

const char *figure_text(char room[FIGURE_TEXT_MAX], struct figure figure, int decimals)
{
    char plain[FIGURE_TEXT_MAX];
    int length = snprintf(plain, sizeof plain, "%.*f", decimals, figure.value), at = 0;
    int whole = decimals > 0 ? length - decimals - 1 : length;

    if (!figure.known || length > FIGURE_TEXT_MAX * 2 / 3) // which none of ours is
        return figure.known ? "many" : "-";
    for (int i = 0; i < length; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0 && plain[i - 1] != '-')
            room[at++] = ',';
        room[at++] = plain[i];
    }
    room[at] = '\0';
    return room;
}
