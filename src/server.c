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
#include "ground/output.h"
#include "ground/util.h"
#include "listen.h"
#include "system/credential.h"
#include "system/journal.h"
#include "system/sandbox.h"

// Descriptors for everything but connections: standard ones, epoll, timer, signals, log, token
// file, the manager, and what handing over takes.
enum { DESCRIPTORS_RESERVED = 24, ERROR_MAX_BYTES = PATH_MAX + 64 };

static const char token_remedy[] = "name a file of one line that its owner alone can read: chmod "
                                   "600, or in a container mode=0400; "
                                   "files in CREDENTIALS_DIRECTORY may have any mode";

static int failed(const char *what)
{
    log_event(LOG_ERROR, "cannot go on", LOG_TEXT("call", what), LOG_TEXT("error", strerror(errno)),
              LOG_TEXT("remedy", errno == EMFILE
                                     ? "raise the limit for descriptors: ulimit -n, LimitNOFILE="
                                     : NULL));
    return -1;
}

static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR2};

// What a write or a terminal may cause beside these: a reader that is gone, a limit for files,
// keys, a background job that writes, or a descriptor that somebody has set O_ASYNC for. A child
// that has ended, which nobody waits for.
static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGIO, SIGCHLD};

static void signals_taken(sigset_t *set)
{
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
    for (size_t i = 0; i < ARRAY_LENGTH(taken); i++)
        signal(taken[i], SIG_DFL);
    for (size_t i = 0; i < ARRAY_LENGTH(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

// Tells the service manager NOTICES and whatever else there is to be told.
static void notify(struct server *server, unsigned notices)
{
    struct counters counters = server->service.counters;

    counters.active_udp_peers = server->service.peers.count;
    notify_turn(&server->notify, &server->loop, &counters, notices);
}

static void drain(struct server *server)
{
    server->service.phase = PHASE_DRAIN;
    server->drain_over = loop_now(&server->loop) + server->options.drain_timeout * TICKS_PER_SECOND;
    ports_drain(&server->ports);
}

// The end has been asked for. With --drain-delay that is told for a while before anybody notices.
static void leave(struct server *server, const char *cause)
{
    unsigned delay = server->options.drain_delay;

    log_event(LOG_INFO, "stopping", LOG_TEXT("cause", cause),
              delay > 0 ? LOG_NUMBER("delay_s", delay) : LOG_TEXT("delay_s", NULL));
    notify(server, NOTICE_STOPPING);
    server->service.phase = PHASE_LEAVING;
    server->leave_over = loop_now(&server->loop) + delay * TICKS_PER_SECOND + 1;
    if (delay == 0)
        drain(server);
}

static void reload(struct server *server)
{
    char room[ERROR_MAX_BYTES];
    struct text error = text_in(room, sizeof room);
    bool told = server->service.phase == PHASE_READY; // else nothing about it may follow

    if (told)
        notify(server, NOTICE_RELOADING);
    if (!credential_load(server->options.token_file, server->user.uid, &server->service.gate->token,
                         &error))
        log_event(LOG_WARNING, "token not read, the one of before stays",
                  LOG_TEXT("error", text_end(&error)), LOG_TEXT("remedy", token_remedy));
    else
        log_event(LOG_INFO, server->service.gate->token.length > 0
                                ? "token read again"
                                : "there is no token to be read");
    if (told)
        notify(server, NOTICE_READY);
}

static void end_asked(struct server *server, const char *cause)
{
    // After /shutdown the first signal changes nothing: it was not known to be under way.
    if (server->service.phase == PHASE_READY)
        leave(server, cause);
    else if (server->signalled && server->service.phase == PHASE_LEAVING)
        drain(server);
    else if (server->signalled)
        server->service.phase = PHASE_OVER;
    server->signalled = true;
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
    else if (info.ssi_signo == SIGUSR2)
        relay_ask(&server->relay);
    else
        end_asked(server, info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
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
    loop_urgent(&server->loop, &server->signals);
    return 0;
}

static void expired(struct loop *loop)
{
    struct server *server = container_of(loop, struct server, loop);
    ticks now = loop_now(loop);

    if (server->service.phase == PHASE_LEAVING && server->leave_over <= now)
        drain(server);
    ports_expire(&server->ports, now);
    peers_expire(&server->service.peers, now);
}

static int raise_descriptors(struct rlimit *limit)
{
    if (getrlimit(RLIMIT_NOFILE, limit) < 0)
        return failed("getrlimit");
    struct rlimit raised = {limit->rlim_max, limit->rlim_max};
    if (limit->rlim_cur < raised.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        *limit = raised;
    return 0;
}

// The soft limit has been raised to the hard one, unless that is beyond fs.nr_open: then neither
// can be changed alone.
static const char *limit_remedy(const struct rlimit *limit)
{
    return limit->rlim_cur == limit->rlim_max
               ? "raise the hard limit as root: ulimit -Hn, limits.conf(5), LimitNOFILE="
               : "it cannot be raised to the hard one: set both to fs.nr_open or less, by ulimit "
                 "-n "
                 "or LimitNOFILE=";
}

// If --max-tcp does not fit within the LIMIT, lowers it. *MAX_BUSY becomes the number of
// connections beyond --max-tcp that there are descriptors for.
static int fit_descriptors(struct options *options, const struct rlimit *limit, rlim_t sockets,
                           unsigned *max_busy)
{
    rlim_t least = DESCRIPTORS_RESERVED + sockets + 2;

    if (limit->rlim_cur < least) {
        log_event(LOG_ERROR, "limit for descriptors is too low",
                  LOG_NUMBER("limit", limit->rlim_cur), LOG_NUMBER("least", least),
                  LOG_TEXT("remedy", limit_remedy(limit)));
        return -1;
    }
    rlim_t clients = limit->rlim_cur - DESCRIPTORS_RESERVED - sockets;
    *max_busy = clients / 8 < BUSY_MAX ? (unsigned)(clients / 8) + 1 : BUSY_MAX;
    if (options->max_tcp > clients - *max_busy) {
        unsigned lowered = (unsigned)(clients - *max_busy);

        log_event(LOG_WARNING, "max-tcp lowered to what the limit for descriptors allows",
                  LOG_NUMBER("wanted", options->max_tcp), LOG_NUMBER("max_tcp", lowered),
                  LOG_NUMBER("limit", limit->rlim_cur), LOG_TEXT("remedy", limit_remedy(limit)));
        options->max_tcp = lowered;
    }
    return 0;
}

static int load_token(struct server *server)
{
    char room[ERROR_MAX_BYTES];
    struct text error = text_in(room, sizeof room);

    if (credential_load(server->options.token_file, server->user.uid, &server->service.gate->token,
                        &error))
        return 0;
    log_event(LOG_ERROR, "cannot use the token file", LOG_TEXT("error", text_end(&error)),
              LOG_TEXT("remedy", token_remedy));
    return -1;
}

static bool take_memory(struct server *server, const struct options *options, const uint64_t key[2])
{

    *server = (struct server){.options = *options,
                              .service.name = options->name,
                              .loop = {.epoll = -1, .timer.fd = -1},
                              .signals = {.ready = signals_ready, .fd = -1},
                              .notify = {.fd = -1, .barrier = {-1, -1}, .wait = -1},
                              .passed.flight = -1,
                              .process = {.statm = -1, .descriptors = -1},
                              .trial_of = -1,
                              .leave_over = TICKS_NEVER,
                              .drain_over = TICKS_NEVER};
    // All, so that server_finish finds each in a state to be finished in.
    bool peers = peers_init(&server->service.peers, key);
    server->service.gate = credential_gate();
    bool ports = ports_init(&server->ports, &server->loop, &server->options, &server->service);
    handover_open(&server->handover, -1);

    return peers && ports && server->service.gate;
}

static int open_manager(struct server *server)
{
    const char *problem = passed_open(&server->passed);

    journal_open();
    if (!output_open())
        log_event(LOG_WARNING, "the log may wait for its terminal, which cannot be opened",
                  LOG_TEXT("error", strerror(errno)));
    if (problem) {
        log_event(LOG_ERROR, "cannot take over sockets", LOG_TEXT("error", problem));
        return -1;
    }
    notify_open(&server->notify);
    return relay_open(&server->relay) < 0 ? failed("memfd_create or socketpair") : 0;
}

// Looks whether a process before has left anything, and where the loop's time begins.
static int open_loop(struct server *server, int flight)
{
    if (loop_init(&server->loop, expired) < 0)
        return failed("epoll_create1 or timerfd_create");
    handover_open(&server->handover, flight >= 0 ? flight : server->passed.flight);
    if (!server->handover.problem && handover_comes(&server->handover) &&
        !loop_continue(&server->loop, server->handover.header.start))
        server->handover.problem = "it is of another time";
    return 0;
}

// What an operator wants to know of a log that has been cut off before or behind this process.
static void tell_start(const struct server *server)
{
    const struct options *options = &server->options;

    log_event(LOG_INFO, "started", LOG_TEXT("version", VERSION), LOG_TEXT("name", options->name),
              LOG_NUMBER("sockets", server->ports.count), LOG_NUMBER("max_tcp", options->max_tcp),
              LOG_NUMBER("max_line", options->max_line),
              LOG_NUMBER("max_datagram", options->max_datagram),
              LOG_NUMBER("idle_timeout_s", options->idle_timeout),
              LOG_NUMBER("line_timeout_s", options->line_timeout),
              LOG_NUMBER("drain_delay_s", options->drain_delay),
              LOG_NUMBER("drain_timeout_s", options->drain_timeout),
              LOG_TEXT("token", server->service.gate->token.length > 0 ? "yes" : "no"),
              LOG_TEXT("root", server->user.uid == 0 ? "yes" : "no"));
}

static void tell_end(const struct counters *counters)
{
    log_event(
        LOG_INFO, "stopped", LOG_NUMBER("accepted", counters->accepted_tcp),
        LOG_NUMBER("busy", counters->busy_tcp),
        LOG_NUMBER("lines", counters->messages[PROTOCOL_TCP]),
        LOG_NUMBER("datagrams", counters->messages[PROTOCOL_UDP]),
        LOG_NUMBER("answered", counters->udp_answered),
        LOG_NUMBER("dropped", counters_dropped(counters)),
        LOG_NUMBER("received", counters->received[PROTOCOL_TCP] + counters->received[PROTOCOL_UDP]),
        LOG_NUMBER("sent", counters->sent[PROTOCOL_TCP] + counters->sent[PROTOCOL_UDP]));
}

// Gives up what only opening needed.
static int confine(struct server *server)
{
    char room[PATH_MAX];
    struct text path = text_in(room, sizeof room);

    if (!user_become(&server->user))
        return -1;
    credential_path(server->options.token_file, &path);
    if (!server->options.no_sandbox)
        sandbox_enter(path.length > 0 ? text_end(&path) : NULL, relay_successor(&server->relay));
    return 0;
}

static int start(struct server *server)
{
    struct rlimit limit;
    int flight = successor_given(&server->trial_of);

    if (server->trial_of >= 0)
        log_set_level(LOG_ERROR); // all else will be told by who goes on
    if (open_manager(server) < 0 || raise_descriptors(&limit) < 0)
        return -1;
    // Who goes on in the place of another is that user already, and may not read who there is.
    if (!user_find(flight < 0 ? server->options.user : NULL, &server->user) ||
        load_token(server) < 0)
        return -1;
    if (open_loop(server, flight) < 0 || watch_signals(server) < 0)
        return -1;
    if (listen_open(&server->ports, &server->options, &server->passed, &server->handover) < 0)
        return -1;
    size_t observers = ports_observe(&server->ports) ? OBSERVERS_MAX : 0;
    if (fit_descriptors(&server->options, &limit, server->ports.count + observers,
                        &server->ports.pool.max_busy) < 0)
        return -1;
    if (observers > 0)
        process_open(&server->process, limit.rlim_cur, server->handover.process);
    server->ports.pool.process = &server->process;
    if (confine(server) < 0)
        return -1;
    bool came = handover_comes(&server->handover);
    handover_take(&server->handover, &server->ports, server->trial_of >= 0);
    if (server->trial_of >= 0)
        return 0;
    if (ports_serve(&server->ports) < 0)
        return failed("epoll_ctl");
    tell_start(server);
    notify(server, came ? NOTICE_READY | NOTICE_TAKEN : NOTICE_READY);
    return 0;
}

int server_init(struct server *server, const struct options *options, char *arguments[])
{
    uint64_t key[2];

    sandbox_prepare();
    if (getrandom(key, sizeof key, 0) != sizeof key)
        return failed("getrandom");
    bool took = take_memory(server, options, key);
    relay_init(&server->relay, &server->ports, &server->notify, arguments);
    int result = took ? start(server) : failed("malloc");
    if (result < 0)
        server_finish(server);
    return result;
}

void server_finish(struct server *server)
{
    relay_close(&server->relay);
    handover_close(&server->handover);
    ports_finish(&server->ports, server->handed_over ? "handed over" : "drain timeout");
    peers_finish(&server->service.peers);
    credential_forget(server->service.gate);
    notify_close(&server->notify);
    process_close(&server->process);
    journal_close();
    output_close();
    passed_close(&server->passed);
    if (server->signals.fd >= 0)
        close(server->signals.fd);
    loop_finish(&server->loop);
}

static ticks next_due(const struct server *server)
{
    ticks due = ticks_sooner(ports_next(&server->ports), peers_next(&server->service.peers));

    due = ticks_sooner(due, notify_next(&server->notify));
    if (server->service.phase == PHASE_LEAVING)
        due = ticks_sooner(due, server->leave_over);
    return ticks_sooner(due, server->drain_over);
}

// MORE: the graceful end has not come to all that waits. It does also where its time is over: what
// was sent before is answered, also with --drain-timeout=0.
static bool finished(struct server *server, bool more)
{
    return server->service.phase == PHASE_OVER ||
           (server->service.phase == PHASE_DRAIN && !more &&
            (ports_empty(&server->ports) || loop_now(&server->loop) >= server->drain_over));
}

// Whether the graceful end has more to do at once.
static bool drain_some(struct server *server)
{
    return server->service.phase == PHASE_DRAIN && ports_drain_some(&server->ports);
}

static void hand_over(struct server *server)
{
    enum relay_end end = relay_turn(&server->relay);

    server->handed_over = end == RELAY_DONE;
    if (end == RELAY_DONE)
        server->service.phase = PHASE_OVER;
    else if (end == RELAY_FAILED)
        leave(server, "SIGUSR2");
}

int server_run(struct server *server)
{
    struct service *service = &server->service;

    if (server->trial_of >= 0) {
        successor_can(server->trial_of);
        return 0;
    }

    for (bool more = false; !finished(server, more); more = drain_some(server)) {
        if (loop_arm(&server->loop, next_due(server)) < 0 ||
            loop_arm_at(&server->loop, ports_next_at(&server->ports)) < 0)
            return failed("timerfd_settime");
        if (loop_turn(&server->loop, !more) < 0)
            return failed("epoll_wait");
        if (service->gate->passed && service->phase == PHASE_READY)
            leave(server, "/shutdown");
        hand_over(server);
        ports_resume(&server->ports);
        notify(server, 0);
    }
    tell_end(&service->counters);
    return 0;
}
