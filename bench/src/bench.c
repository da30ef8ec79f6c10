// SPDX-License-Identifier: MIT
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "datagrams.h"
#include "ground/util.h"
#include "lines.h"
#include "payload.h"
#include "rest.h"

static int failed(const char *what)
{
    fprintf(stderr, "echo-bench: %s: %s\n", what, strerror(errno));
    return -1;
}

static void signals_taken(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void bench_block_signals(void)
{
    sigset_t set;

    signals_taken(&set);
    sigprocmask(SIG_BLOCK, &set, NULL); // cannot fail
    signal(SIGINT, SIG_DFL);            // a shell's background jobs ignore it
    signal(SIGTERM, SIG_DFL);
}

bool bench_stamped(const struct bench *bench)
{
    const struct settings *settings = bench->settings;

    return !settings->has_request &&
           (settings->verify || (settings->udp && settings->size > PAYLOAD_STAMP_BYTES));
}

bool bench_interrupted(struct bench *bench)
{
    struct signalfd_siginfo info;

    if (read(bench->signals.fd, &info, sizeof info) > 0)
        bench->results.interrupted = true;
    return bench->results.interrupted;
}

static void signals_ready(struct watch *watch, uint32_t events)
{
    (void)events;
    bench_interrupted(container_of(watch, struct bench, signals));
}

// Has pacer_ready called at AT; never for UINT64_MAX.
static void arm(struct bench *bench, uint64_t at)
{
    struct itimerspec when = {.it_value = {.tv_sec = 0}};

    if (at != UINT64_MAX) {
        when.it_value.tv_sec = (time_t)(at / NANOSECONDS_PER_SECOND);
        when.it_value.tv_nsec = (long)(at % NANOSECONDS_PER_SECOND);
    }
    timerfd_settime(bench->pacer.fd, TFD_TIMER_ABSTIME, &when, NULL); // cannot fail for such times
}

// The open loop: sends the messages whose time has come.
static void pace(struct bench *bench, uint64_t now)
{
    unsigned connections = bench->settings->connections;
    uint64_t due = (uint64_t)((double)(now - bench->started) / bench->period) + 1;
    uint64_t fresh = size_min(due - bench->paced, connections);

    for (uint64_t i = 0; i < fresh; i++) {
        struct flow *flow = bench->flows[(bench->paced + i) % connections];

        if (!flow->ended)
            bench->traffic->go(flow, now);
    }
    bench->paced = due;
    uint64_t next = bench->started + (uint64_t)((double)due * bench->period);
    arm(bench, next < bench->end ? next : bench->end);
}

static void pacer_ready(struct watch *watch, uint32_t events)
{
    struct bench *bench = container_of(watch, struct bench, pacer);
    uint64_t now = clock_now();

    (void)events;
    arm(bench, bench->end > now ? bench->end : UINT64_MAX);
    if (now >= bench->end)
        bench->stopped = true;
    else if (bench->period > 0 && !bench->stopped)
        pace(bench, now);
}

// What shows whether anything goes on.
static uint64_t movement(const struct bench *bench)
{
    uint64_t begun = 0;

    for (unsigned i = 0; i < bench->opened; i++)
        begun += bench->flows[i]->begun;
    return begun + bench->results.latency.total;
}

// A datagram may be lost for itself; on TCP, a server that says nothing for long has dropped all.
static void find_lost(struct bench *bench, uint64_t now)
{
    uint64_t timeout = bench->settings->timeout;
    uint64_t moved = movement(bench);

    if (moved != bench->moved || bench->in_flight == 0) {
        bench->moved = moved;
        bench->still = now;
    }
    if (bench->settings->udp)
        for (unsigned i = 0; now > timeout && i < bench->opened; i++) {
            flow_give_up(bench->flows[i], now - timeout);
            if (!bench->flows[i]->ended)
                bench->traffic->go(bench->flows[i], now);
        }
    else if (now - bench->still >= timeout && (bench->stopped || bench->end == UINT64_MAX))
        bench->given_up = true;
}

static double share_done(const struct bench *bench, uint64_t now)
{
    const struct settings *settings = bench->settings;

    if (settings->messages > 0)
        return (double)bench->results.latency.total / (double)settings->messages;
    return (double)(now - bench->started) / (double)(bench->end - bench->started);
}

static void show(struct bench *bench, uint64_t now)
{
    char room[512];
    struct text text = text_in(room, sizeof room);
    double share = share_done(bench, now);

    live_note(&bench->live, bench->results.latency.total, now);
    text_string(&text, "\r\033[K");
    live_write(&bench->live, share < 1 ? share : 1,
               histogram_percentile(&bench->results.latency, 0.99), &text);
    fputs(text_end(&text), stderr);
}

static void tick(struct loop *loop)
{
    struct bench *bench = container_of(loop, struct bench, loop);
    uint64_t now = clock_now();

    find_lost(bench, now);
    if (bench->live.shown && bench->started > 0)
        show(bench, now);
}

static int turn(struct bench *bench)
{
    if (loop_arm(&bench->loop, loop_now(&bench->loop) + 1) < 0 || loop_turn(&bench->loop) < 0)
        return failed("epoll_wait");
    return 0;
}

static bool phase_over(const struct bench *bench)
{
    return bench->results.interrupted || bench->given_up || bench->alive == 0 ||
           (bench->stopped && bench->in_flight == 0);
}

static void begin_phase(struct bench *bench, uint64_t duration, uint64_t messages)
{
    unsigned rate = bench->settings->rate;

    bench->started = bench->still = clock_now();
    bench->end = duration > 0 ? bench->started + duration : UINT64_MAX;
    bench->left = messages;
    bench->period = rate > 0 ? 1e9 / rate : 0;
    bench->paced = 0;
    bench->stopped = bench->given_up = false;
    for (unsigned i = 0; i < bench->opened; i++)
        bench->flows[i]->phase_begun = 0;
    arm(bench, bench->end);
    if (bench->period > 0)
        pace(bench, bench->started);
    else
        for (unsigned i = 0; i < bench->opened; i++)
            if (!bench->flows[i]->ended)
                bench->traffic->go(bench->flows[i], clock_now());
}

// Sends for DURATION, or MESSAGES messages in all, and waits for the answers.
static int run_phase(struct bench *bench, uint64_t duration, uint64_t messages)
{
    begin_phase(bench, duration, messages);
    while (!phase_over(bench))
        if (turn(bench) < 0)
            return -1;
    bench->results.started = bench->started;
    bench->results.ended = clock_now();
    bench->stopped = true;
    arm(bench, UINT64_MAX);
    for (unsigned i = 0; bench->given_up && i < bench->opened; i++)
        flow_give_up_all(bench->flows[i]);
    return 0;
}

int bench_wait(struct bench *bench, uint64_t until)
{
    bench->stopped = true;
    bench->end = until;
    arm(bench, until);
    while (clock_now() < until && !bench->results.interrupted)
        if (turn(bench) < 0)
            return -1;
    return 0;
}

static int fail_to_dial(struct bench *bench)
{
    const char *cause = strerror(errno);

    fprintf(stderr, "echo-bench: %s: %s\n", bench->settings->server, cause);
    return -1;
}

// Connects the flows, as many as the server takes: 0 if there is one at least.
static int open_flows(struct bench *bench)
{
    const struct settings *settings = bench->settings;

    bench->flows = calloc(settings->connections, sizeof(struct flow *));
    if (!bench->flows)
        return failed("malloc");
    while (bench->opened < settings->connections && !bench_interrupted(bench)) {
        struct flow *flow = flow_create(bench, bench->opened);

        if (!flow)
            return failed("malloc");
        bench->flows[bench->opened++] = flow;
        bench->alive++;
        if (!bench->traffic->open(flow)) {
            if (bench->opened == 1)
                return fail_to_dial(bench);
            flow_fail(flow, FAULT_CONNECT, strerror(errno));
        }
    }
    return 0;
}

// Every byte that is sent comes from here: whole requests, one after the other.
static bool fill_output(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    size_t count = settings->size < BENCH_INPUT_BYTES ? BENCH_INPUT_BYTES / settings->size : 1;

    bench->output_length = count * settings->size;
    bench->input = malloc(BENCH_INPUT_BYTES);
    bench->output = malloc(bench->output_length);
    if (!bench->input || !bench->output)
        return false;
    for (size_t i = 0; i < count; i++)
        if (settings->has_request)
            memcpy(bench->output + i * settings->size, settings->request, settings->size);
        else
            payload_write(bench->output + i * settings->size, settings->size, 0, 0);
    bench->datagrams = settings->udp ? datagrams_create(bench) : NULL;
    return bench->datagrams || !settings->udp;
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

static int open_loop(struct bench *bench)
{
    sigset_t set;

    signals_taken(&set);
    if (loop_init(&bench->loop, tick) < 0)
        return failed("epoll_create1");
    bench->signals = (struct watch){.ready = signals_ready,
                                    .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    bench->pacer = (struct watch){
        .ready = pacer_ready, .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    if (bench->signals.fd < 0 || bench->pacer.fd < 0 ||
        loop_add(&bench->loop, &bench->signals, EPOLLIN) < 0 ||
        loop_add(&bench->loop, &bench->pacer, EPOLLIN) < 0)
        return failed("signalfd or timerfd_create");
    return 0;
}

static const struct traffic *traffic_of(const struct settings *settings)
{
    return settings->udp ? &datagrams_traffic : settings->churn ? &churn_traffic : &lines_traffic;
}

// The places for messages in flight: a power of two and, for datagrams, so many more that one that
// is lost does not hold up the others.
static uint64_t choose_flights_mask(const struct settings *settings)
{
    uint64_t places = 1;

    while (places < settings->depth * (settings->udp ? UINT64_C(4) : UINT64_C(1)))
        places *= 2;
    return places - 1;
}

int bench_init(struct bench *bench, const struct settings *settings)
{
    *bench = (struct bench){.settings = settings,
                            .traffic = traffic_of(settings),
                            .loop = {.epoll = -1, .timer.fd = -1},
                            .signals.fd = -1,
                            .pacer.fd = -1,
                            .end = UINT64_MAX,
                            .stopped = true,
                            .flights_mask = choose_flights_mask(settings)};
    const char *wrong = dial_find(settings, &bench->target);

    if (wrong) {
        fprintf(stderr, "echo-bench: %s: %s\n", settings->server, wrong);
        return -1;
    }
    raise_descriptors();
    if (!fill_output(bench))
        return failed("malloc");
    return open_loop(bench);
}

void bench_finish(struct bench *bench)
{
    for (unsigned i = 0; i < bench->opened; i++)
        flow_destroy(bench->flows[i]);
    free(bench->flows);
    rest_finish(bench);
    datagrams_destroy(bench->datagrams);
    free(bench->input);
    free(bench->output);
    if (bench->signals.fd >= 0)
        close(bench->signals.fd);
    if (bench->pacer.fd >= 0)
        close(bench->pacer.fd);
    loop_finish(&bench->loop);
}

static int measure(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct server_results *server = &bench->results.server;
    struct cost before = {.cpu = 0}, after = before;
    uint64_t energy = 0, energy_after = 0;
    bool known = settings->pid > 0 && cost_read(settings->pid, settings->tree, &before);
    bool energy_known = settings->pid > 0 && cost_energy(&energy);
    uint64_t cpu = clock_own_cpu();
    uint64_t messages = settings->messages > 0 ? settings->messages : UINT64_MAX;

    if (settings->messages == 0 && settings->rate > 0)
        messages = (uint64_t)((double)settings->rate * (double)settings->duration / 1e9 + 0.5);
    if (run_phase(bench, settings->messages > 0 ? 0 : settings->duration, messages) < 0)
        return -1;
    bench->results.own_cpu = clock_own_cpu() - cpu;
    bench->results.unsent = settings->rate > 0 ? bench->left : 0;
    // A counter that has wrapped around in between tells nothing.
    server->energy = energy_known && cost_energy(&energy_after) && energy_after >= energy;
    server->energy_used = energy_after - energy;
    server->cost = known && cost_read(settings->pid, settings->tree, &after);
    server->cpu = after.cpu - before.cpu;
    server->switches = after.switches - before.switches;
    return 0;
}

int bench_run(struct bench *bench)
{
    const struct settings *settings = bench->settings;

    if (rest_measure(bench) < 0 || open_flows(bench) < 0)
        return -1;
    if (settings->warmup > 0 && !bench->results.interrupted &&
        run_phase(bench, settings->warmup, UINT64_MAX) < 0)
        return -1;
    results_restart(&bench->results);
    return bench->results.interrupted ? 0 : measure(bench);
}
