// SPDX-License-Identifier: MIT
#include "universe.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "client.h"
#include "core/options.h"
#include "fault.h"
#include "files.h"
#include "flow.h"
#include "ground/log.h"
#include "ground/output.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "reader.h"
#include "server.h"
#include "successor.h"
#include "world.h"

enum { ARGUMENTS_MAX = 40, ARGUMENT_ROOM = 64, REST_SECONDS = 1000, REST_AFTER_SECONDS = 100 };

struct plan {
    char text[ARGUMENTS_MAX][ARGUMENT_ROOM];
    char *argument[ARGUMENTS_MAX + 1];
    int arguments;
    bool token_wanted;
    bool may_not_start;
    bool succeeds; // all could be opened as it was to be, and can be so again
    bool rests;    // long after the last traffic
};

static struct plan plan;
static struct server server;

static __attribute__((format(printf, 1, 2))) void argue(const char *format, ...)
{
    char *text = plan.text[plan.arguments];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, ARGUMENT_ROOM, format, arguments);
    va_end(arguments);
    trace("argument: %s", text);
    plan.argument[plan.arguments++] = text;
    plan.argument[plan.arguments] = NULL;
}

static void choose_limits(void)
{
    if (!one_in(3))
        argue("--max-tcp=%d", (int)between(1, one_in(4) ? 40 : 6));
    if (one_in(4))
        argue("--backlog=%d", (int)between(1, 10));
    if (one_in(2))
        argue("--max-line=%d", (int)between(1, one_in(3) ? 3000 : 60));
    else if (one_in(10))
        argue("--max-line=%d", (int)between(60000, 1 << 20));
    if (one_in(2))
        argue("--max-datagram=%d", (int)between(1, one_in(3) ? 2000 : one_in(2) ? 40 : 4));
    if (one_in(4))
        argue("--socket-buffer=%d", (int)between(1, 100000));
}

static void choose_timeouts(void)
{
    if (one_in(2))
        argue("--idle-timeout=%d", (int)between(1, 8));
    if (!one_in(3))
        argue("--line-timeout=%d", (int)between(0, 5));
    if (one_in(2))
        argue("--drain-timeout=%d", (int)between(0, 4));
}

static unsigned choose_further_ports(void)
{
    bool any = one_in(2);
    unsigned count = 0;

    for (size_t i = 0; any && i < FURTHER_PORTS; i++)
        if (one_in(3)) {
            argue("--listen=%s", further_ports[i].listen);
            count++;
        }
    return count;
}

static void choose_addresses(void)
{
    static const char *const bind[] = {"127.0.0.1", "0.0.0.0",      "::1",
                                       "::",        "fe80::1%eth0", "fe80::1%none"};

    if (one_in(12)) {
        argue("--listen=faulty:7013");
        argue("--port=none");
        return;
    }
    if (choose_further_ports() > 0 && one_in(8)) {
        argue("--port=none");
        return;
    }
    argue("--port=%d", one_in(2) ? 0 : 12345);
    if (one_in(8))
        argue("--udp-port=0");
    if (!one_in(7))
        return;
    plan.may_not_start = true; // there may be no such address, or no such two
    argue("--bind=%s", bind[between(0, 5)]);
    if (one_in(2))
        argue("--bind=%s", bind[0]);
}

static void choose_looks(void)
{
    static const char *const level[] = {"-q", "-qq", "-v", "-vv"};

    if (one_in(2))
        argue("%s", level[between(0, 3)]);
    if (one_in(2))
        argue("--trigger=edge");
    if (one_in(3))
        argue("--dscp=reflect");
    if (one_in(3))
        argue("--name=%s", EXPECT_NAME);
}

static void choose_token(void)
{
    bool directory = one_in(10);

    unsetenv("CREDENTIALS_DIRECTORY");
    if (directory)
        setenv("CREDENTIALS_DIRECTORY", "/simulated", 1);
    kernel.token = one_in(6) ? (enum token_file)between(TOKEN_ABSENT, TOKEN_READABLE) : TOKEN_GOOD;
    plan.token_wanted = directory || one_in(2);
    if (plan.token_wanted && !directory)
        argue("--shutdown-token-file=%s", CALLS_TOKEN_PATH);
    if (!plan.token_wanted)
        kernel.token = TOKEN_NONE;
    plan.may_not_start |= kernel.token == TOKEN_EMPTY ||
                          (kernel.token == TOKEN_ABSENT && !directory) ||
                          (kernel.token == TOKEN_READABLE && !directory);
    judge_token.there = kernel.token == TOKEN_GOOD || (kernel.token == TOKEN_READABLE && directory);
}

static void choose_kernel(void)
{
    enum ipv6 ipv6 = one_in(4) ? (enum ipv6)between(IPV6_SEPARATE, IPV6_NONE) : IPV6_DUAL;
    uint64_t hard = one_in(5) ? between(18, 60) : 4096;

    plan.may_not_start |= hard <= 60;
    files_begin(one_in(2) ? hard : between(18, hard), hard);
    netsock_begin(ipv6);
    choose_addresses();
}

// What happens beside clients.

static void reload(void *subject)
{
    (void)subject;
    if (plan.token_wanted && one_in(2) && !world.succession) {
        kernel.token = (enum token_file)between(TOKEN_GOOD, TOKEN_READABLE);
        judge_token = (struct judge_token){.uncertain = true};
    }
    signal_raise(SIGHUP);
}

static void toggle_exhaustion(void *subject)
{
    kernel.exhausted = !kernel.exhausted && !world.hush && !world.succession;
    trace("descriptors are %s", kernel.exhausted ? "exhausted" : "there again");
    if (kernel.exhausted)
        world_at(world.now + magnitude(3 * SECOND), toggle_exhaustion, subject);
}

static void toggle_log(void *subject)
{
    kernel.log_stalled = !kernel.log_stalled && !world.hush;
    if (kernel.log_stalled)
        world_at(world.now + magnitude(5 * SECOND), toggle_log, subject);
}

static void set_clock(void *subject)
{
    (void)subject;
    world.wall += (int64_t)between(0, 20 * SECOND) - (int64_t)(10 * SECOND);
    world.wall_changed = world.now;
}

static void succeed(void *subject)
{
    (void)subject;
    if (plan.succeeds && !world.ending && !world.hush)
        signal_raise(SIGUSR2);
}

static void stop(void *subject)
{
    (void)subject;
    world.ending = true;
    world.hush = false;
    world.rest_from = NEVER;
    signal_raise(one_in(2) ? SIGTERM : SIGINT);
}

static void hush(void *subject)
{
    world.hush = true;
    toggle_exhaustion(subject);
    world.rest_from = world.now + REST_AFTER_SECONDS * SECOND;
}

static void plan_end(uint64_t end)
{
    if (plan.rests) {
        world_at(end, hush, NULL);
        end += REST_SECONDS * SECOND;
    } else if (one_in(4)) {
        client_create(end, true);
        end += between(0, SECOND);
    }
    world_at(end, stop, NULL);
    if (one_in(4))
        world_at(end + magnitude(4 * SECOND), stop, NULL);
}

static void plan_events(uint64_t end)
{
    static void (*const happening[])(void *) = {reload, toggle_exhaustion, toggle_log, set_clock,
                                                succeed};

    for (size_t i = 0; i < ARRAY_LENGTH(happening); i++)
        for (uint64_t left = one_in(3) ? between(1, 4) : 0; left > 0; left--)
            world_at(world.now + between(0, end - world.now), happening[i], NULL);
}

static void plan_clients(uint64_t end)
{
    uint64_t count = 1 + magnitude(12);

    if (one_in(30))
        count = between(13, 60);
    if (one_in(400))
        count = between(280, 600);
    while (count-- > 0)
        client_create(world.now + magnitude(end - world.now), false);
    sender_begin();
}

static void plan_life(void)
{
    uint64_t end = world.now + 1000 + magnitude(40 * SECOND);

    plan.rests = one_in(8);
    plan_clients(end);
    plan_events(end);
    plan_end(end);
}

static bool log_nothing(enum log_level level, const struct log_field *fields, size_t count,
                        uint64_t suppressed)
{
    (void)level, (void)fields, (void)count, (void)suppressed;
    return true;
}

// The log is the daemon's only global state: as a new process would find it.
static void reset_log(void)
{
    log_set_level(LOG_DEBUG);
    log_set_sink(log_nothing);
    log_event(LOG_DEBUG, "reset");
    log_set_sink(NULL);
}

static void begin(uint64_t seed, bool tracing)
{
    world_begin(seed, tracing);
    memset(&plan, 0, sizeof plan);
    memset(&server, 0, sizeof server);
    world.server = &server;
    judge_begin();
    fault_begin();
    client_begin();
    argue("epoll-echo");
    choose_kernel();
    choose_limits();
    choose_timeouts();
    choose_token();
    choose_looks();
    calls_begin();
    reader_begin();
    successor_begin();
    reset_log();
}

// The process has left everything: the next one goes on.
static void go_on(const struct options *options, uint64_t sights[SIGHTS])
{
    sights[SIGHT_SUCCESSIONS]++;
    trace("one process has left everything");
    judge_left();
    kernel.exhausted = false;
    kernel.token = plan.token_wanted ? TOKEN_GOOD : kernel.token;
    // Answers that the process before has made, without one perhaps, may be still to be sent.
    if (plan.token_wanted && !judge_token.there)
        judge_token = (struct judge_token){.uncertain = true};
    reader_left();
    reset_log();
    log_set_level(options->log_level);
    if (server_init(&server, options, plan.argument) < 0)
        fail("the server does not go on");
    successor_settled();
    world.succession = false;
}

static void serve(const struct options *options, uint64_t sights[SIGHTS])
{
    for (;;) {
        int result = server_run(&server);

        world.succession = successor_waits();
        if (!world.succession)
            judge_run_over(result);
        server_finish(&server);
        if (!world.succession)
            return;
        go_on(options, sights);
    }
}

void universe_run(uint64_t seed, bool tracing, uint64_t sights[SIGHTS])
{
    struct options options;
    char room[256];
    struct text error = text_in(room, sizeof room);

    begin(seed, tracing);
    server_block_signals();
    if (!options_parse(&options, plan.arguments, plan.argument, &error))
        fail("the options are not understood: %s", text_end(&error));
    log_set_level(options.log_level);
    if (server_init(&server, &options, plan.argument) == 0) {
        plan.succeeds = faults.count == 0;
        judge_started();
        plan_life();
        serve(&options, sights);
    } else {
        if (!plan.may_not_start && faults.count == 0)
            fail("the server does not start");
        output_close(); // the process would end: nothing is left for the next one to say
    }
    judge_ended();
    sights[SIGHT_UNIVERSES]++;
    sights[SIGHT_TURNS] += world.turn;
    sights[SIGHT_FAULTS] += faults.count;
    sights[SIGHT_CONNECTIONS] += flows.count;
    sights[SIGHT_DATAGRAMS] += udp.read;
    sights[SIGHT_SECONDS] += (world.now - world.epoch) / SECOND;
    client_finish_all();
    flow_finish_all();
    questions_begin();
    expect_forget();
    world_end();
}
