// SPDX-License-Identifier: MIT
#include "phase.h"

#include "clock.h"

// What is in flight when the user asks for the end has a moment to come back.
enum { GRACE_NANOSECONDS = 500000000 };

struct phase {
    struct engine *engine;
    struct traffic *traffic;
    struct live *live;
    uint64_t paced; // planned messages whose time has come, of all flows
    uint64_t still; // since when nothing has gone or come
    uint64_t moved; // messages begun and answered by then
    uint64_t over;  // when messages ceased to be begun; 0: not yet
    bool given_up;  // what is in flight will not be answered
};

static struct pace *pace_of(struct phase *phase)
{
    return &phase->traffic->flows.pace;
}

// The open loop: sends the messages whose time has come.
static void send_due(struct phase *phase, uint64_t now)
{
    struct traffic *traffic = phase->traffic;
    uint64_t due = pace_due(&traffic->flows.pace, now);
    uint64_t fresh = uint64_min(due - phase->paced, traffic->opened);

    for (uint64_t i = 0; i < fresh; i++) // each at a time of its own: those before it take some
        traffic->go(traffic->all[(phase->paced + i) % traffic->opened], clock_now());
    phase->paced = due;
    engine_set_alarm(phase->engine, pace_next(&traffic->flows.pace, due));
}

static void stop(struct phase *phase, uint64_t now)
{
    pace_of(phase)->stopped = true;
    if (phase->over == 0)
        phase->over = now;
}

static void alarm_rang(struct phase *phase, uint64_t now)
{
    struct pace *pace = pace_of(phase);

    if (now >= pace->end)
        stop(phase, now);
    if (pace->stopped)
        engine_set_alarm(phase->engine, UINT64_MAX);
    else if (pace->period > 0)
        send_due(phase, now);
    else
        engine_set_alarm(phase->engine, pace->end);
}

static void interrupted(struct phase *phase, uint64_t now)
{
    if (phase->over == 0)
        alarm_rang(phase, now); // what is due by now is not unsent
    stop(phase, now);
    engine_set_alarm(phase->engine, phase->over + GRACE_NANOSECONDS);
    phase->given_up = phase->engine->interrupts > 1 || now >= phase->over + GRACE_NANOSECONDS;
}

// Gives up, on all flows, what was begun before BEFORE.
static void give_up(struct traffic *traffic, uint64_t before)
{
    for (unsigned i = 0; i < traffic->opened; i++)
        traffic->give_up(traffic->all[i], before);
}

// A datagram may be lost for itself; on TCP, a server that says nothing for long has dropped all.
static void find_lost(struct phase *phase, uint64_t now)
{
    struct traffic *traffic = phase->traffic;
    const struct pace *pace = &traffic->flows.pace;
    uint64_t timeout = traffic->settings->timeout;
    uint64_t moved = pace->begun + traffic->flows.results->latency.total;

    if (moved != phase->moved || traffic->flows.in_flight == 0) {
        phase->moved = moved;
        phase->still = now;
    }
    if (traffic->settings->udp)
        give_up(traffic, now > timeout ? now - timeout : 0);
    else if (now - phase->still >= timeout && (pace->stopped || pace->end == UINT64_MAX))
        phase->given_up = true;
}

static double share_done(struct phase *phase, uint64_t now)
{
    const struct pace *pace = pace_of(phase);
    double count = (double)phase->traffic->flows.results->latency.total / (double)pace->messages;
    double time = (double)(now - pace->started) / (double)(pace->end - pace->started);

    return count > time ? count : time;
}

// Ends the interval under way at NOW, if it has lasted for so long AT_LEAST.
static void cut(struct phase *phase, uint64_t now, uint64_t at_least)
{
    struct results *results = phase->traffic->flows.results;
    unsigned count = results->interval_count;
    uint64_t since = results->started + (count > 0 ? results->intervals[count - 1].ended : 0);

    if (count < INTERVALS_MAX && now >= since + at_least)
        live_interval(phase->live, results_cut(results, now), results_faults(results));
}

static void tick(struct phase *phase, uint64_t now)
{
    find_lost(phase, now);
    traffic_go(phase->traffic, now);
    if (phase->over == 0)
        cut(phase, now, phase->traffic->settings->interval - ENGINE_TICK_NANOSECONDS / 2);
    live_show(phase->live, &phase->traffic->flows.results->latency, share_done(phase, now), now);
}

static bool is_over(const struct phase *phase)
{
    const struct flows *flows = &phase->traffic->flows;

    return phase->given_up || flows->alive == 0 || (flows->pace.stopped && flows->in_flight == 0);
}

static void begin(struct phase *phase, uint64_t duration, uint64_t messages)
{
    struct traffic *traffic = phase->traffic;
    struct results *results = traffic->flows.results;
    uint64_t now = clock_now();

    traffic_start(traffic, now, duration, messages);
    // Behind what was measured before, if anything was: the time in between is none of it.
    results->started = now - (results->ended - results->started);
    phase->still = now;
    for (unsigned i = 0; pace_of(phase)->period == 0 && i < traffic->opened; i++)
        traffic->go(traffic->all[i], clock_now());
    alarm_rang(phase, now);
}

static void conclude(struct phase *phase)
{
    struct flows *flows = &phase->traffic->flows;
    struct results *results = flows->results;

    results->interrupted = phase->engine->interrupts > 0;
    results->ended = pace_counted_until(&flows->pace, flows->answered, phase->over);
    cut(phase, results->ended, phase->traffic->settings->interval / 2);
    uint64_t unsent = pace_unsent(&flows->pace, phase->over);
    results->unsent += unsent;
    results->planned += flows->pace.period > 0 ? flows->pace.begun + unsent : 0;
    if (results->interrupted)
        results->in_flight = flows->in_flight;
    else
        give_up(phase->traffic, UINT64_MAX);
}

void phase_run(struct engine *engine, struct traffic *traffic, struct live *live, uint64_t duration,
               uint64_t messages)
{
    struct phase phase = {.engine = engine, .traffic = traffic, .live = live};

    begin(&phase, duration, messages);
    while (!is_over(&phase)) {
        engine_turn(engine);
        if (engine->interrupts > 0)
            interrupted(&phase, clock_now());
        else if (engine->rang)
            alarm_rang(&phase, clock_now());
        if (engine->ticked)
            tick(&phase, clock_now());
    }
    stop(&phase, clock_now());
    engine_set_alarm(engine, UINT64_MAX);
    conclude(&phase);
}
