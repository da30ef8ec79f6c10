// SPDX-License-Identifier: MIT
#include "live.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "figure.h"
#include "ground/util.h"

void live_note(struct live *live, uint64_t messages, uint64_t time)
{
    if (time <= live->time || messages < live->messages) { // a new phase
        live->messages = messages;
        live->time = time;
        return;
    }
    memmove(live->rate, live->rate + 1, (LIVE_POINTS - 1) * sizeof live->rate[0]);
    live->rate[LIVE_POINTS - 1] =
        (double)(messages - live->messages) * 1e9 / (double)(time - live->time);
    live->messages = messages;
    live->time = time;
}

void live_sparkline(const double *values, size_t count, bool unicode, struct text *text)
{
    static const char *const bars[2][9] = {
        {" ", ".", ":", "-", "=", "+", "*", "%", "#"},
        {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
    };
    double most = 0;

    for (size_t i = 0; i < count; i++)
        most = values[i] > most ? values[i] : most;
    for (size_t i = 0; i < count; i++) {
        size_t height = most > 0 ? (size_t)(values[i] / most * 8 + 0.5) : 0;

        if (height == 0 && values[i] > 0)
            height = 1;
        text_string(text, bars[unicode][height]);
    }
}

void live_write(const struct live *live, double share, const struct histogram *latency,
                size_t columns, struct text *text)
{
    char p99[FIGURE_TEXT_MAX];
    struct figure figure = figure_percentile(latency, 0.99);
    size_t before = text->length, most = columns - 1; // in the last one the cursor would move on

    figure.value /= 1e3;
    text_format(text, "%3.0f %%  %9.0f/s  p99 %s ms  ", share * 100, live->rate[LIVE_POINTS - 1],
                figure_text(p99, figure, 3));
    text->length = size_min(text->length, before + most);
    size_t points = size_min(LIVE_POINTS, before + most - text->length);
    live_sparkline(live->rate + LIVE_POINTS - points, points, live->unicode, text);
}

static size_t columns_of_terminal(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void live_show(struct live *live, const struct histogram *latency, double share, uint64_t time)
{
    char room[512];
    struct text text = text_in(room, sizeof room);

    if (!live->shown)
        return;
    live_note(live, latency->total, time);
    text_string(&text, "\r\033[K");
    live_write(live, share < 1 ? share : 1, latency, columns_of_terminal(), &text);
    fputs(text_end(&text), stderr);
}

void live_interval(const struct live *live, const struct interval *interval, uint64_t faults)
{
    double seconds = (double)(interval->ended - interval->began) / 1e9;
    const uint64_t times[] = {interval->p50, interval->p99, interval->max};
    char room[FIGURE_TEXT_MAX];

    if (!live->lines)
        return;
    if (interval->began == 0)
        printf("%9s %12s %12s %12s %12s %8s  latency in %s\n", "seconds", "a second", "p50", "p99",
               "max", "errors", live->us);
    printf("%9.2f %12.0f", (double)interval->ended / 1e9, (double)interval->messages / seconds);
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++)
        printf(
            " %12s",
            figure_text(room, figure_quotient(interval->messages > 0, (double)times[i], 1e3), 1));
    printf(" %8llu\n", (unsigned long long)faults);
    fflush(stdout); // that it cannot be written shows when the report cannot be either
}
