// SPDX-License-Identifier: MIT
#include "server.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "listen.h"
#include "system/credential.h"

// Descriptors for everything but connections: standard ones, epoll, timer, signals, log, token
// file.
enum { DESCRIPTORS_RESERVED = 16, ERROR_MAX_BYTES = PATH_MAX + 64 };

static int failed(const char *what)
{
    log_event(LOG_ERROR, "cannot go on", "call", what, "error", strerror(errno), NULL);
    return -1;
}

static void signals_taken(sigset_t *set)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP};

    sigemptyset(set);
    for (size_t i = 0; i < ARRAY_LENGTH(taken); i++)
        sigaddset(set, taken[i]);
}

void server_block_signals(void)
{
    sigset_t set;

    // These calls fail only for signals that there are not. A signal that is ignored, as a shell
    // does for its background jobs, would not reach the signalfd: so the default is set anew.
    signals_taken(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
}

// The counters as they are between turns.
static struct counters counters_of(const struct server *server)
{
    struct counters counters = server->service.counters;

    counters.active_udp_peers = server->service.peers.count;
    return counters;
}

static void drain(struct server *server, const char *cause)
{
    bool own = !systemd_activated(&server->systemd);

    log_event(LOG_INFO, "stopping", "cause", cause, NULL);
    systemd_stopping(&server->systemd);
    server->draining = true;
    server->drain_over = loop_now(&server->loop) + server->options.drain_timeout * TICKS_PER_SECOND;
    udp_drain(&server->udp, own);
    tcp_drain(&server->tcp, own);
}

static void reload(struct server *server)
{
    char room[ERROR_MAX_BYTES];
    struct text error = text_in(room, sizeof room);
    struct counters counters = counters_of(server);

    systemd_reloading(&server->systemd);
    if (credential_load(server->options.token_file, &server->service.gate.token, &error))
        log_event(LOG_INFO, "token read again", NULL);
    else
        log_event(LOG_WARNING, "token not read, the one of before stays", "error", text_end(&error),
                  NULL);
    systemd_ready(&server->systemd, &counters);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
    struct server *server = container_of(watch, struct server, signals);
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->fd, &info, sizeof info) != sizeof info)
        return; // EAGAIN: nothing came after all
    if (info.ssi_signo == SIGHUP)
        reload(server);
    else if (server->draining)
        server->over = true;
    else
        drain(server, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
}

static int watch_signals(struct server *server)
{
    sigset_t set;

    signals_taken(&set);
    server->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (server->signals.fd < 0)
        return failed("signalfd");
    if (loop_add(&server->loop, &server->signals, EPOLLIN) < 0)
        return failed("epoll_ctl");
    return 0;
}

static void expired(struct loop *loop)
{
    struct server *server = container_of(loop, struct server, loop);
    ticks now = loop_now(loop);

    tcp_expire(&server->tcp, now);
    peers_expire(&server->service.peers, now);
    if (server->draining && now >= server->drain_over)
        server->over = true;
}

static rlim_t sockets_of(const struct server *server)
{
    size_t binds = server->options.bind_count;

    if (systemd_activated(&server->systemd))
        return (rlim_t)server->systemd.passed;
    return binds == 0 ? 4 : 2 * (rlim_t)binds;
}

// Raises the limit for descriptors as far as allowed; if --max-tcp does not fit, lowers it.
// *MAX_BUSY becomes the number of connections beyond --max-tcp that there are descriptors for.
static int fit_descriptors(struct options *options, rlim_t sockets, unsigned *max_busy)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return failed("getrlimit");
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur < raised.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit.rlim_cur = raised.rlim_cur;
    rlim_t least = DESCRIPTORS_RESERVED + sockets + 2;
    if (limit.rlim_cur < least) {
        log_event(LOG_ERROR, "limit for descriptors is too low", "limit",
                  LOG_NUMBER(limit.rlim_cur), "least", LOG_NUMBER(least), NULL);
        return -1;
    }
    rlim_t clients = limit.rlim_cur - DESCRIPTORS_RESERVED - sockets;
    *max_busy = clients / 8 < BUSY_MAX ? (unsigned)(clients / 8) + 1 : BUSY_MAX;
    if (options->max_tcp > clients - *max_busy) {
        unsigned lowered = (unsigned)(clients - *max_busy);

        log_event(LOG_WARNING, "max-tcp lowered to what the limit for descriptors allows", "wanted",
                  LOG_NUMBER(options->max_tcp), "max_tcp", LOG_NUMBER(lowered), "limit",
                  LOG_NUMBER(limit.rlim_cur), "remedy",
                  "raise the hard limit with ulimit -Hn or LimitNOFILE=", NULL);
        options->max_tcp = lowered;
    }
    return 0;
}

static int load_token(struct server *server)
{
    char room[ERROR_MAX_BYTES];
    struct text error = text_in(room, sizeof room);

    if (credential_load(server->options.token_file, &server->service.gate.token, &error))
        return 0;
    log_event(LOG_ERROR, "cannot use the token file", "error", text_end(&error), NULL);
    return -1;
}

static bool prepare(struct server *server, const struct options *options, const uint64_t key[2])
{
    *server = (struct server){.options = *options,
                              .loop = {.epoll = -1, .timer.fd = -1},
                              .signals = {.ready = signals_ready, .fd = -1},
                              .systemd = {.notify = -1},
                              .drain_over = TICKS_NEVER};
    // All three, so that server_finish finds each in a state to be finished in.
    bool peers = peers_init(&server->service.peers, key);
    bool tcp = tcp_init(&server->tcp, &server->loop, &server->options, &server->service);
    bool udp = udp_init(&server->udp, &server->loop, &server->options, &server->service);

    return peers && tcp && udp;
}

static int start(struct server *server)
{
    struct counters none = {.total_clients = 0};

    if (!systemd_init(&server->systemd))
        return -1;
    if (fit_descriptors(&server->options, sockets_of(server), &server->tcp.max_busy) < 0 ||
        load_token(server) < 0)
        return -1;
    if (loop_init(&server->loop, expired) < 0)
        return failed("epoll_create1 or timerfd_create");
    if (watch_signals(server) < 0)
        return -1;
    if (listen_open(server) < 0)
        return -1;
    systemd_ready(&server->systemd, &none);
    return 0;
}

int server_init(struct server *server, const struct options *options)
{
    uint64_t key[2];

    if (getrandom(key, sizeof key, 0) != sizeof key)
        return failed("getrandom");
    int result = prepare(server, options, key) ? start(server) : failed("malloc");
    if (result < 0)
        server_finish(server);
    return result;
}

void server_finish(struct server *server)
{
    tcp_finish(&server->tcp);
    udp_finish(&server->udp);
    peers_finish(&server->service.peers);
    systemd_finish(&server->systemd);
    if (server->signals.fd >= 0)
        close(server->signals.fd);
    loop_finish(&server->loop);
}

static ticks next_due(const struct server *server)
{
    ticks due = tcp_next(&server->tcp);
    ticks peers = peers_next(&server->service.peers);

    due = due < peers ? due : peers;
    due = due < systemd_next(&server->systemd) ? due : systemd_next(&server->systemd);
    return due < server->drain_over ? due : server->drain_over;
}

static bool finished(const struct server *server)
{
    return server->over || (server->draining && tcp_empty(&server->tcp));
}

int server_run(struct server *server)
{
    while (!finished(server)) {
        if (loop_arm(&server->loop, next_due(server)) < 0)
            return failed("timerfd_settime");
        if (loop_turn(&server->loop) < 0)
            return failed("epoll_wait");
        tcp_resume(&server->tcp);
        struct counters counters = counters_of(server);
        systemd_turn(&server->systemd, &server->loop, &counters);
        if (server->service.gate.passed && !server->draining)
            drain(server, "/shutdown");
    }
    log_event(LOG_INFO, "stopped", NULL);
    return 0;
}
