// SPDX-License-Identifier: MIT
#include "results.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool results_good(const struct results *results)
{
    return results->latency.total > 0 && results->in_flight == 0 && results_faults(results) == 0;
}

double results_seconds(const struct results *results)
{
    return (double)(results->ended - results->started) / 1e9;
}

void results_restart(struct results *results)
{
    results->latency = (struct histogram){.total = 0};
    results->started = results->ended = results->unsent = 0;
}

const char *results_sample(char *room, size_t room_length, const char *bytes, size_t length)
{
    size_t fits = size_min(length, room_length - 1);

    for (size_t i = 0; i < fits; i++)
        room[i] = printable(bytes[i]);
    room[fits] = '\0';
    return room;
}
