// SPDX-License-Identifier: MIT
#include "live.h"

#include <stdio.h>
#include <string.h>

#include "ground/util.h"
#include "report.h"

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

void live_write(const struct live *live, double share, uint64_t p99, struct text *text)
{
    char latency[REPORT_TIME_MAX];

    text_format(text, "%3.0f %%  %9.0f/s  p99 %s  ", share * 100, live->rate[LIVE_POINTS - 1],
                report_time(latency, p99));
    live_sparkline(live->rate, LIVE_POINTS, live->unicode, text);
}

void live_show(struct live *live, const struct histogram *latency, double share, uint64_t time)
{
    char room[512];
    struct text text = text_in(room, sizeof room);

    if (!live->shown)
        return;
    live_note(live, latency->total, time);
    text_string(&text, "\r\033[K");
    live_write(live, share < 1 ? share : 1, histogram_percentile(latency, 0.99), &text);
    fputs(text_end(&text), stderr);
}
