// SPDX-License-Identifier: MIT
#include "rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "ground/util.h"

enum {
    SETTLE_STEP_MILLISECONDS = 50, // a server that took no CPU for so long has nothing left to do
    SETTLE_STEPS_MAX = 200,
};

struct idle {
    struct watch watch;
    struct bench *bench;
};

static void idle_close(struct idle *idle)
{
    if (idle->watch.fd < 0)
        return;
    loop_remove(&idle->bench->loop, &idle->watch);
    close(idle->watch.fd);
    idle->watch.fd = -1;
}

// An idle connection has nothing to be told: the server has turned it away.
static void idle_ready(struct watch *watch, uint32_t events)
{
    struct idle *idle = container_of(watch, struct idle, watch);
    char bytes[40], sample[48];
    ssize_t got = recv(watch->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    results_fault(&idle->bench->results, FAULT_CLOSED, 1, "an idle connection was ended: %s",
                  got < 0 ? strerror(errno)
                          : results_sample(sample, sizeof sample, bytes, (size_t)got));
    idle_close(idle);
}

static int failed(const struct bench *bench, const char *cause)
{
    fprintf(stderr, "echo-bench: %s: idle connection %u of %u: %s\n", bench->settings->server,
            bench->idle_opened, bench->settings->idle, cause);
    return -1;
}

static int open_idle(struct bench *bench)
{
    unsigned count = bench->settings->idle;

    bench->idle = calloc(count, sizeof *bench->idle);
    if (!bench->idle)
        return failed(bench, strerror(errno));
    while (bench->idle_opened < count && !bench_interrupted(bench)) {
        struct idle *idle = &bench->idle[bench->idle_opened++];

        *idle = (struct idle){.watch = {.ready = idle_ready}, .bench = bench};
        idle->watch.fd = dial(&bench->target, SOCK_STREAM);
        if (idle->watch.fd < 0 || loop_add(&bench->loop, &idle->watch, EPOLLIN) < 0)
            return failed(bench, strerror(errno));
    }
    return 0;
}

// Waits until the server has done all that new connections make it do.
static int settle(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    uint64_t before = UINT64_MAX, cpu;

    for (int i = 0; settings->pid > 0 && i < SETTLE_STEPS_MAX && !bench->results.interrupted; i++) {
        if (!cost_cpu(settings->pid, settings->tree, &cpu) || cpu == before)
            return 0;
        before = cpu;
        if (bench_wait(bench, clock_now() + SETTLE_STEP_MILLISECONDS * UINT64_C(1000000)) < 0)
            return -1;
    }
    return 0;
}

static int weigh_idle(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct server_results *server = &bench->results.server;
    struct memory before, after;
    bool known = settings->pid > 0 && cost_memory(settings->pid, settings->tree, &before);

    if (open_idle(bench) < 0 || settle(bench) < 0)
        return -1;
    server->memory =
        known && !bench->results.interrupted && cost_memory(settings->pid, settings->tree, &after);
    if (server->memory) {
        server->rss = after.rss - before.rss;
        server->pss = after.pss - before.pss;
    }
    return 0;
}

static int count_wakeups(struct bench *bench)
{
    const struct settings *settings = bench->settings;
    struct server_results *server = &bench->results.server;
    struct cost before = {.cpu = 0}, after = before;

    // The connections of a run before this one may still be ending.
    if (settings->rest == 0 || settle(bench) < 0 ||
        !cost_read(settings->pid, settings->tree, &before))
        return 0;
    uint64_t began = clock_now();
    if (bench_wait(bench, began + settings->rest) < 0)
        return -1;
    if (bench->results.interrupted || !cost_read(settings->pid, settings->tree, &after))
        return 0;
    server->rest = true;
    server->rest_time = clock_now() - began;
    server->wakeups = after.voluntary - before.voluntary;
    return 0;
}

int rest_measure(struct bench *bench)
{
    if (bench->settings->idle > 0 && weigh_idle(bench) < 0)
        return -1;
    return count_wakeups(bench);
}

void rest_finish(struct bench *bench)
{
    for (unsigned i = 0; i < bench->idle_opened; i++)
        idle_close(&bench->idle[i]);
    free(bench->idle);
}
