// SPDX-License-Identifier: MIT
#include "results.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ground/util.h"

const char *fault_name(enum fault fault)
{
    static const char *const names[FAULTS] = {"connect",   "closed", "refused",   "corrupt",
                                              "reordered", "lost",   "unexpected"};

    return names[fault];
}

// Printable ASCII that needs no quoting in JSON either.
static char printable(char byte)
{
    return byte < ' ' || byte > '~' || byte == '"' || byte == '\\' ? '.' : byte;
}

void results_fault(struct results *results, enum fault fault, uint64_t times, const char *format,
                   ...)
{
    bool first = results_faults(results) == 0 && times > 0;
    va_list arguments;

    results->faults[fault] += times;
    if (!first)
        return;
    va_start(arguments, format);
    vsnprintf(results->first_fault, sizeof results->first_fault, format, arguments);
    va_end(arguments);
    for (char *at = results->first_fault; *at; at++)
        *at = printable(*at);
}

uint64_t results_faults(const struct results *results)
{
    uint64_t all = 0;

    for (size_t i = 0; i < FAULTS; i++)
        all += results->faults[i];
    return all;
}

double results_sent(const struct results *results)
{
    return results->planned == 0 ? 1 : 1 - (double)results->unsent / (double)results->planned;
}

double results_others(const struct results *results)
{
    const struct server_results *server = &results->server;
    double all = (double)results->wall * (double)sysconf(_SC_NPROCESSORS_ONLN);
    double ours = (double)results->own_cpu + (server->cost ? (double)server->cpu : 0);
    double others = (double)results->machine.busy - ours;

    return all > 0 && others > 0 ? others / all : 0;
}

bool results_complete(const struct results *results)
{
    return results->latency.total > 0 && results->in_flight == 0 && results_sent(results) >= 0.99;
}

double results_seconds(const struct results *results)
{
    return (double)(results->ended - results->started) / 1e9;
}

void results_restart(struct results *results)
{
    results->latency = results->lateness = results->before = (struct histogram){.total = 0};
    results->started = results->ended = results->planned = results->unsent = 0;
    results->interval_count = 0;
}

const char *results_sample(char *room, size_t room_length, const char *bytes, size_t length)
{
    size_t fits = size_min(length, room_length - 1);

    for (size_t i = 0; i < fits; i++)
        room[i] = printable(bytes[i]);
    room[fits] = '\0';
    return room;
}

const struct interval *results_cut(struct results *results, uint64_t now)
{
    static struct histogram part; // too large for a stack
    unsigned last = results->interval_count;
    struct interval *interval = &results->intervals[last];

    histogram_subtract(&results->latency, &results->before, &part);
    *interval = (struct interval){.began = last > 0 ? interval[-1].ended : 0,
                                  .ended = now - results->started,
                                  .messages = part.total,
                                  .p50 = histogram_percentile(&part, 0.5),
                                  .p99 = histogram_percentile(&part, 0.99),
                                  .max = part.max};
    results->before = results->latency;
    results->interval_count++;
    return interval;
}
