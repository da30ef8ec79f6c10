// SPDX-License-Identifier: MIT
#include "pace.h"

#include "ground/util.h"

void pace_start(struct pace *pace, uint64_t now, uint64_t duration, uint64_t messages)
{
    pace->started = now;
    pace->end = duration > 0 ? now + duration : UINT64_MAX;
    pace->messages = messages;
    pace->begun = 0;
    pace->stopped = false;
    pace->last = now;
}

static uint64_t planned(const struct pace *pace, uint64_t of_all)
{
    return pace->started + (uint64_t)((double)of_all * pace->period);
}

uint64_t pace_due(const struct pace *pace, uint64_t now)
{
    return (uint64_t)((double)(now - pace->started) / pace->period) + 1;
}

uint64_t pace_next(const struct pace *pace, uint64_t due)
{
    uint64_t next = planned(pace, due);

    return next < pace->end ? next : pace->end;
}

uint64_t pace_allowance(const struct pace *pace, unsigned flow, uint64_t begun, uint64_t now)
{
    uint64_t left = pace->messages - pace->begun;

    if (pace->stopped)
        return 0;
    if (pace->period == 0)
        return left;
    uint64_t of_all = pace_due(pace, now);
    if (of_all <= flow)
        return 0;
    uint64_t due = (of_all - flow - 1) / pace->flows + 1;
    // What is due may have been rounded to less than had been begun.
    return due <= begun ? 0 : uint64_min(due - begun, left);
}

uint64_t pace_since(const struct pace *pace, unsigned flow, uint64_t n, uint64_t now)
{
    return pace->period > 0 ? planned(pace, n * pace->flows + flow) : now;
}

void pace_count(struct pace *pace, uint64_t count, uint64_t now)
{
    if (count > 0)
        pace->last = now;
    pace->begun += count;
    if (pace->begun == pace->messages)
        pace->stopped = true;
}

uint64_t pace_counted_until(const struct pace *pace, uint64_t answered, uint64_t over)
{
    uint64_t until = answered > pace->last ? answered : pace->last;

    if (pace->begun < pace->messages && pace->end != UINT64_MAX)
        until = pace->end;
    else if (pace->period > 0 && pace->begun < pace->messages)
        until = planned(pace, pace->messages);
    else if (pace->period > 0)
        until = pace->last + (uint64_t)pace->period;
    return until < over ? until : over;
}

uint64_t pace_unsent(const struct pace *pace, uint64_t over)
{
    uint64_t due = pace->period > 0 ? uint64_min(pace_due(pace, over), pace->messages) : 0;

    return due > pace->begun ? due - pace->begun : 0;
}
