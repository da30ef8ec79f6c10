// SPDX-License-Identifier: MIT
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "churn.h"
#include "clock.h"
#include "cost.h"
#include "datagrams.h"
#include "dial.h"
#include "engine.h"
#include "lines.h"
#include "phase.h"
#include "rest.h"
#include "turns.h"

struct bench {
    const struct settings *settings;
    struct engine engine;
    struct target target;
    struct rest rest;
    struct traffic *traffic;
    struct live *live;
    struct results *results;
};

static int failed(const char *what, const char *cause)
{
    fprintf(stderr, "echo-bench: %s: %s\n", what, cause);
    return -1;
}

// A descriptor for each connection: the limit that the system sets is only a default.
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); // else connecting fails, and says why
}

static int create_traffic(struct bench *bench)
{
    const struct settings *settings = bench->settings;

    bench->traffic = (settings->udp     ? datagrams_create
                      : settings->churn ? churn_create
                                        : lines_create)(settings);
    if (!bench->traffic)
        return -1;
    bench->traffic->target = &bench->target;
    bench->traffic->flows.loop = &bench->engine.loop;
    bench->traffic->flows.results = bench->results;
    return 0;
}

static int prepare(struct bench *bench)
{
    raise_descriptors();
    if (engine_init(&bench->engine) < 0 || create_traffic(bench) < 0)
        return failed("starting", strerror(errno));
    const char *wrong = dial_find(bench->settings, &bench->target);
    return wrong ? failed(bench->settings->server, wrong) : 0;
}

// What this process and the machine have taken so far, as far as that could be seen.
struct taken {
    bool machine, energy;
    uint64_t busy, stolen, microjoules, own, now;
};

static struct taken look_around(void)
{
    struct taken taken = {.own = clock_own_cpu(), .now = clock_now()};

    taken.machine = cost_machine(&taken.busy, &taken.stolen);
    taken.energy = cost_energy(&taken.microjoules);
    return taken;
}

static void add_taken(struct results *results, const struct taken *before)
{
    struct taken after = look_around();
    struct server_results *server = &results->server;

    results->own_cpu += after.own - before->own;
    results->wall += after.now - before->now;
    results->machine.known = before->machine && after.machine;
    results->machine.busy += after.busy - before->busy;
    results->machine.stolen += after.stolen - before->stolen;
    // A counter that has wrapped around in between tells nothing.
    server->energy = before->energy && after.energy && after.microjoules >= before->microjoules;
    server->energy_used += after.microjoules - before->microjoules;
}

// Between turns nobody asks the server anything.
static void compare(struct server_results *server, const struct cost *before,
                    const struct cost *after)
{
    // Who answers needs some time for it: who took none is not the server.
    server->cost = after->cpu > before->cpu;
    server->cpu = after->cpu - before->cpu;
    server->switches = after->switches - before->switches;
}

static uint64_t messages_wanted(const struct settings *settings)
{
    double planned = (double)settings->rate * (double)settings->duration / 1e9;
    uint64_t messages = settings->messages > 0 ? settings->messages : UINT64_MAX;

    return settings->rate > 0 && settings->duration > 0 && planned < (double)messages
               ? (uint64_t)(planned + 0.5)
               : messages;
}

static void measure_part(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct taken before = look_around();

    phase_run(&bench->engine, bench->traffic, bench->live, settings->duration,
              messages_wanted(settings));
    add_taken(bench->results, &before);
}

static int measure_turns(struct bench *bench)
{
    struct turns turns;

    if (turns_init(&turns, &bench->engine) < 0)
        return failed("standard input", strerror(errno));
    while (turns_next(&turns, bench->results->latency.total)) {
        measure_part(bench);
        bench->results->turns++;
    }
    turns_finish(&turns);
    bench->results->interrupted = bench->engine.interrupts > 0;
    return 0;
}

static int measure(struct bench *bench)
{
    pid_t pid = bench->settings->pid;
    struct cost before, after;
    bool seen = pid > 0 && cost_read(pid, &before);
    int result = 0;

    bench->live->lines = bench->settings->lines;
    if (bench->settings->turns)
        result = measure_turns(bench);
    else
        measure_part(bench);
    if (seen && cost_read(pid, &after))
        compare(&bench->results->server, &before, &after);
    bench->live->lines = false;
    return result;
}

static const char *why_not_open(const struct settings *settings, int error)
{
    if (settings->gso && error == ENOPROTOOPT)
        return "the kernel has no trains of datagrams, as Linux has from 5.0 on: leave out --gso";
    return dial_error(error);
}

static int run(struct bench *bench)
{
    const struct settings *settings = bench->settings;

    if (rest_measure(&bench->rest, &bench->target) < 0)
        return -1;
    if (traffic_open(bench->traffic) < 0)
        return failed(settings->server, why_not_open(settings, errno));
    if (engine_take_signals(&bench->engine) < 0)
        return failed("signalfd", strerror(errno));
    if (settings->warmup > 0)
        phase_run(&bench->engine, bench->traffic, bench->live, settings->warmup, UINT64_MAX);
    results_restart(bench->results);
    return bench->engine.interrupts == 0 ? measure(bench) : 0;
}

int bench_run(const struct settings *settings, struct live *live, struct results *results)
{
    struct bench bench = {.settings = settings, .live = live, .results = results};
    bench.rest = (struct rest){.settings = settings, .engine = &bench.engine, .results = results};
    int result = prepare(&bench) < 0 ? -1 : run(&bench);

    rest_finish(&bench.rest);
    traffic_destroy(bench.traffic);
    dial_finish(&bench.target);
    engine_finish(&bench.engine);
    return result;
}
