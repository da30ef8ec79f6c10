// SPDX-License-Identifier: MIT
#include "rest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "cost.h"
#include "ground/util.h"
#include "payload.h"

enum {
    SETTLE_STEP_MILLISECONDS = 50, // a server that took no CPU for so long has nothing left to do
    SETTLE_STEPS_MAX = 200,
};

struct idle {
    struct watch watch;
    struct rest *rest;
};

static void idle_close(struct idle *idle)
{
    if (idle->watch.fd < 0)
        return;
    loop_remove(&idle->rest->engine->loop, &idle->watch);
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
    size_t came = got > 0 ? (size_t)got : 0;
    results_fault(idle->rest->results,
                  payload_refusal(bytes, came) > 0 ? FAULT_REFUSED : FAULT_CLOSED, 1,
                  "an idle connection was ended: %s",
                  got < 0 ? strerror(errno) : results_sample(sample, sizeof sample, bytes, came));
    idle_close(idle);
}

static int failed(const struct rest *rest)
{
    fprintf(stderr, "echo-bench: %s: idle connection %u of %u: %s\n", rest->settings->server,
            rest->opened, rest->settings->idle, dial_error(errno));
    return -1;
}

static int open_idle(struct rest *rest, struct target *target)
{
    unsigned count = rest->settings->idle;

    rest->idle = calloc(count, sizeof *rest->idle);
    if (!rest->idle)
        return failed(rest);
    while (rest->opened < count) {
        struct idle *idle = &rest->idle[rest->opened++];

        *idle = (struct idle){.watch = {.ready = idle_ready}, .rest = rest};
        idle->watch.fd = dial(target, SOCK_STREAM);
        if (idle->watch.fd < 0 || loop_add(&rest->engine->loop, &idle->watch, EPOLLIN) < 0)
            return failed(rest);
    }
    return 0;
}

// Waits until the server has done all that new connections make it do.
static void settle(struct rest *rest)
{
    const struct settings *settings = rest->settings;
    uint64_t before = UINT64_MAX;
    struct cost cost;

    for (int i = 0; settings->pid > 0 && i < SETTLE_STEPS_MAX; i++) {
        if (!cost_read(settings->pid, &cost) || cost.cpu == before)
            return;
        before = cost.cpu;
        engine_wait(rest->engine, clock_now() + SETTLE_STEP_MILLISECONDS * UINT64_C(1000000));
    }
}

static int weigh_idle(struct rest *rest, struct target *target)
{
    const struct settings *settings = rest->settings;
    struct server_results *server = &rest->results->server;
    struct memory before, after;
    bool known = settings->pid > 0 && cost_memory(settings->pid, &before);

    if (open_idle(rest, target) < 0)
        return -1;
    settle(rest);
    server->memory = known && cost_memory(settings->pid, &after);
    if (server->memory) {
        server->idle = settings->idle;
        server->rss = after.rss - before.rss;
        server->pss = after.pss - before.pss;
    }
    return 0;
}

static void count_wakeups(struct rest *rest)
{
    const struct settings *settings = rest->settings;
    struct server_results *server = &rest->results->server;
    struct cost before = {.cpu = 0}, after = before;

    settle(rest); // the connections of a run before this one may still be ending
    uint64_t began = clock_now();
    bool known = cost_read(settings->pid, &before);
    engine_wait(rest->engine, began + settings->rest);
    server->rest = known && cost_read(settings->pid, &after);
    server->rest_time = clock_now() - began;
    server->wakeups = after.voluntary - before.voluntary;
}

int rest_measure(struct rest *rest, struct target *target)
{
    if (rest->settings->idle > 0 && weigh_idle(rest, target) < 0)
        return -1;
    if (rest->settings->rest > 0)
        count_wakeups(rest);
    return 0;
}

void rest_finish(struct rest *rest)
{
    for (unsigned i = 0; i < rest->opened; i++)
        idle_close(&rest->idle[i]);
    free(rest->idle);
}
