// SPDX-License-Identifier: MIT
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "files.h"
#include "flow.h"
#include "ground/log.h"
#include "judge.h"
#include "netsock.h"
#include "reader.h"
#include "successor.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

int __real_open(const char *path, int flags, ...);

// A turn of the daemon makes far fewer; one that does not end makes more.
#define JUDGE_EVERY (10 * MILLISECOND)

enum { CALLS_PER_TURN_MAX = 200000, STALL_ONE_IN = 5000 };

static struct {
    size_t token_read; // bytes
    bool stalls;       // the process does not run for a while, now and then
} calls;

void calls_begin(void)
{
    calls.stalls = one_in(3);
}

// The process does not run, and others do: stopped, frozen, or on a laptop that sleeps. Now and
// then for longer than any timeout.
static void stall(void)
{
    uint64_t longest = one_in(3) ? 200 * SECOND : 2 * SECOND;
    uint64_t until = world.now + magnitude(longest);

    for (; world_next() <= until && !world.hush; world_run())
        if (world_next() > world.now)
            world.now = world_next();
    if (!world.hush)
        world.now = until;
}

void enter(void)
{
    if (++world.calls > CALLS_PER_TURN_MAX)
        fail("a turn does not end");
    world.now += between(200, 3000);
    if (calls.stalls && !world.hush && one_in(STALL_ONE_IN))
        stall();
    world_run();
    judge_phase();
}

// And it fails, or not: fault_error.
static int begin(enum call call, struct flow *flow)
{
    enter();
    return fault_error(call, flow);
}

long leave(const char *call, int fd, long result)
{
    trace("%s(%d) = %ld %s", call, fd, result < 0 ? -1 : result,
          result < 0 ? strerrorname_np((int)-result) : "");
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static struct flow *flow_of(int fd)
{
    struct flow *flow = files_get(fd, FILE_FLOW)->object;

    faults.busy_with = flow;
    return flow;
}

struct netsock *socket_of(int fd)
{
    return files_get(fd, FILE_SOCKET)->object;
}

static int open_file(const char *call, enum call fault, enum file_kind kind)
{
    int error = begin(fault, NULL);
    int fd = error ? -error : files_open(kind, NULL);

    return (int)leave(call, fd, fd == -1 ? -EMFILE : fd);
}

int __wrap_epoll_create1(int flags)
{
    must(flags == EPOLL_CLOEXEC);
    return open_file("epoll_create1", CALL_EPOLL_CREATE1, FILE_EPOLL);
}

int __wrap_timerfd_create(int clock, int flags)
{
    must(clock == CLOCK_MONOTONIC && flags == (TFD_NONBLOCK | TFD_CLOEXEC));
    kernel.timer = NEVER;
    return open_file("timerfd_create", CALL_TIMERFD_CREATE, FILE_TIMER);
}

int __wrap_signalfd(int fd, const sigset_t *set, int flags)
{
    must(fd == -1 && flags == (SFD_NONBLOCK | SFD_CLOEXEC));
    must(sigismember(set, SIGTERM) && sigismember(set, SIGINT));
    return open_file("signalfd", CALL_SIGNALFD, FILE_SIGNALS);
}

int __wrap_socket(int family, int type, int protocol)
{
    struct netsock *opened = NULL;

    (void)protocol;
    must((type & SOCK_NONBLOCK) && (type & SOCK_CLOEXEC));
    int error = begin(CALL_SOCKET, NULL);
    if (!error)
        error = netsock_open(family, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), &opened);
    return (int)leave("socket", -1, error ? -error : opened->fd);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    int number;

    must(length >= sizeof number);
    memcpy(&number, value, sizeof number);
    struct flow *flow = files_kind(fd) == FILE_FLOW ? flow_of(fd) : NULL;
    int error = begin(CALL_SETSOCKOPT, flow);
    bool lingers = flow && level == SOL_SOCKET && name == SO_LINGER && flow->expect.resets;
    must(!flow || lingers || (level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT && number == 1));
    if (lingers)
        flow->lingers |= !error;
    else if (flow)
        flow->lowat |= !error;
    else if (!error)
        error = netsock_set(socket_of(fd), level, name, number);
    return (int)leave("setsockopt", fd, -error);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)length;
    int error = begin(CALL_BIND, NULL);
    if (!error)
        error = netsock_bind(socket_of(fd), address);
    return (int)leave("bind", fd, -error);
}

int __wrap_listen(int fd, int backlog)
{
    int error = begin(CALL_LISTEN, NULL);
    struct netsock *socket = socket_of(fd);

    if (!error) {
        socket->listening = true;
        socket->backlog = (unsigned)backlog;
    }
    return (int)leave("listen", fd, -error);
}

int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    struct flow *flow = files_kind(fd) == FILE_FLOW ? flow_of(fd) : NULL;
    int error = begin(CALL_GETSOCKNAME, NULL); // which costs only the name

    if (flow) {
        flow->names_failed |= error != 0;
        if (!error)
            *length = netsock_name(&flow->local, flow->family, name, *length);
    } else if (!error) {
        *length = netsock_name(&socket_of(fd)->bound, socket_of(fd)->family, name, *length);
    }
    return (int)leave("getsockname", fd, -error);
}

int __wrap_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    struct flow *flow = flow_of(fd);
    int error = begin(CALL_GETPEERNAME, NULL);

    if (flow->dead)
        error = ENOTCONN;
    flow->names_failed |= error != 0;
    if (!error)
        *length = netsock_name(&flow->peer, flow->family, name, *length);
    return (int)leave("getpeername", fd, -error);
}

static uint32_t milliseconds_since(uint64_t time)
{
    return (uint32_t)((world.now - time) / MILLISECOND);
}

// What is asked for is as much of struct tcp_info as there is up to tcpi_notsent_bytes, which libc
// does not know.
enum { NOT_SENT = 144 };

static int tell_unsent(struct flow *flow, char *info)
{
    uint32_t unsent = (uint32_t)flow_unsent(flow);
    int error = begin(CALL_GETSOCKOPT, NULL);

    memset(info, 0, NOT_SENT);
    memcpy(info + NOT_SENT, &unsent, sizeof unsent);
    return error;
}

// What is asked of a socket that has come from another process.
static int tell_kind(int fd, int level, int name, void *value)
{
    const struct netsock *socket = files_kind(fd) == FILE_SOCKET ? socket_of(fd) : NULL;
    int told = SOCK_STREAM;

    if (level == SOL_SOCKET && name == SO_DOMAIN)
        told = socket ? socket->family : AF_INET;
    else if (level == SOL_SOCKET && name == SO_TYPE)
        told = socket ? socket->type : SOCK_STREAM;
    else if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        told = socket && socket->listening;
    else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && socket && socket->family == AF_INET6)
        told = socket->v6only;
    else
        return ENOPROTOOPT;
    memcpy(value, &told, sizeof told);
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (level != IPPROTO_TCP) {
        enter();
        return (int)leave("getsockopt", fd, -tell_kind(fd, level, name, value));
    }
    struct flow *flow = flow_of(fd);

    if (*length == NOT_SENT + sizeof(uint32_t))
        return (int)leave("getsockopt unsent", fd, -tell_unsent(flow, value));
    flow->counted = *length > sizeof(struct tcp_info); // for the log: all that a kernel may tell
    int error = begin(CALL_GETSOCKOPT, flow->counted ? NULL : flow);
    struct tcp_info info = {.tcpi_last_data_sent = milliseconds_since(flow->taken),
                            .tcpi_last_ack_recv = milliseconds_since(flow->taken),
                            .tcpi_last_data_recv = milliseconds_since(flow->arrived)};

    must(level == IPPROTO_TCP && name == TCP_INFO);
    if (!error)
        memcpy(value, &info, size_min(*length, sizeof info));
    if (!error && !flow->counted)
        judge_asked(flow);
    return (int)leave("getsockopt", fd, -error);
}

// These take a client out of the queue, which is gone.
static bool costs_client(int error)
{
    return error != EINTR && error != EMFILE && error != ENFILE && error != ENOBUFS &&
           error != ENOMEM;
}

static long accept_flow(struct netsock *socket, int error)
{
    struct flow *flow;
    int fd = -1;

    if (error && costs_client(error)) {
        flow = netsock_dequeue(socket);
        if (!flow)
            return -EAGAIN;
        flow->excused = true;
        flow_reset(flow, ECONNRESET);
        return -error;
    }
    // Linux looks for a descriptor first, and for a client then.
    if (!error && (fd = files_open(FILE_FLOW, NULL)) < 0)
        error = EMFILE;
    if (error)
        return -error;
    flow = netsock_dequeue(socket);
    if (!flow) {
        files_close(fd);
        return -EAGAIN;
    }
    files_get(fd, FILE_FLOW)->object = flow;
    flow_accept(flow, fd);
    return fd;
}

int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags)
{
    struct netsock *socket = socket_of(fd);

    enter();
    must(flags == (SOCK_NONBLOCK | SOCK_CLOEXEC) && !name == !length);
    faults.busy_with = NULL;
    long result = accept_flow(socket, fault_error(CALL_ACCEPT4, NULL));
    if (result >= 0) {
        struct flow *flow = flow_of((int)result);

        if (name)
            *length = netsock_name(&flow->peer, flow->family, name, *length);
        judge_accepted(socket, flow);
    } else if (result != -EAGAIN && result != -EINTR && !costs_client((int)-result)) {
        judge_accept_failed();
    }
    return (int)leave("accept4", fd, result);
}

static char watches_log; // what belongs to an epoll instance that does

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    struct flow *flow = files_kind(fd) == FILE_FLOW ? flow_of(fd) : NULL;
    int error = 0;

    enter();
    if (fd == STDERR_FILENO) {
        must(operation == EPOLL_CTL_ADD && event->events == EPOLLOUT);
        files_get(epoll, FILE_EPOLL)->object = &watches_log;
        return (int)leave("epoll_ctl ADD", fd, reader_watch());
    }
    files_get(epoll, FILE_EPOLL);
    if (operation != EPOLL_CTL_DEL)
        error = fault_error(operation == EPOLL_CTL_ADD ? CALL_EPOLL_ADD : CALL_EPOLL_MOD, flow);
    if (error && flow)
        flow->must_close = true;
    if (error && !flow && world.started && files_kind(fd) == FILE_SOCKET) {
        if (socket_of(fd)->type == SOCK_STREAM)
            judge_accept_failed();
        else
            judge_receive_failed(socket_of(fd));
    }
    if (!error)
        error = files_control(operation, fd, event);
    if (!error && flow && operation == EPOLL_CTL_ADD)
        judge_registered(flow);
    if (flow && operation == EPOLL_CTL_MOD && event->events & (EPOLLIN | EPOLLOUT))
        judge_watched(flow, event->events & EPOLLIN);
    must(operation != EPOLL_CTL_DEL || !error);
    return (int)leave(operation == EPOLL_CTL_ADD   ? "epoll_ctl ADD"
                      : operation == EPOLL_CTL_MOD ? "epoll_ctl MOD"
                                                   : "epoll_ctl DEL",
                      fd, -error);
}

// Lets time pass until something is ready.
static int wait_for_events(struct epoll_event *events, int max)
{
    uint64_t judged = 0;
    int found;

    while ((found = files_ready(events, max)) == 0) {
        uint64_t next = world_next() < kernel.timer ? world_next() : kernel.timer;

        // Not each time that a client of many does something.
        if (world.now >= judged + JUDGE_EVERY)
            judge_sleep();
        judged = judged && world.now < judged + JUDGE_EVERY ? judged : world.now;
        if (next == NEVER)
            fail("the server waits for ever");
        if (next > world.now)
            world.now = next;
        world_run();
    }
    return found;
}

static int add_spurious(struct epoll_event *events, int found, int max)
{
    struct epoll_event more;

    if (found == max || !fault_spurious() || !files_spurious(&more))
        return found;
    for (int i = 0; i < found; i++)
        if (events[i].data.ptr == more.data.ptr)
            return found;
    events[found] = more;
    return found + 1;
}

static void shuffle(struct epoll_event *events, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)between(0, (uint64_t)i);
        struct epoll_event event = events[i];

        events[i] = events[j];
        events[j] = event;
    }
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    enter();
    if (files_get(fd, FILE_EPOLL)->object) {
        must(max == 1 && timeout == 0);
        return (int)leave("epoll_wait", fd, reader_wait());
    }
    must(timeout == -1 || (timeout == 0 && world.draining));
    judge_turn_over();
    faults.in_turn = 0;
    faults.busy_with = NULL;
    int error = fault_error(CALL_EPOLL_WAIT, NULL);
    int found = error          ? -error
                : timeout == 0 ? files_ready(events, max)
                               : wait_for_events(events, max);
    if (!error) {
        found = add_spurious(events, found, max);
        if (world.seed % 2)
            shuffle(events, found);
    }
    judge_turn();
    return (int)leave("epoll_wait", fd, found);
}

// The memory that the daemon offers is there, whether it is needed or not.
static void touch_last(char *bytes, size_t length)
{
    volatile char *last = bytes + length - 1;

    if (length > 0)
        *last = *last;
}

// Whether there is anything to be read, which the daemon asks at the end of its time, and when it
// logs what has come.
static ssize_t peek(struct flow *flow)
{
    int error = fault_error(CALL_RECV, flow);

    // An error that a peek tells is the end of the connection, and is reported ever after.
    if (error && error != EINTR)
        flow_reset(flow, error);
    long result = error == EINTR ? -EINTR : flow_peek(flow);
    must(world.draining || flow->fin_read || flow->expect.lines.closing || flow->counted);
    if (!flow->counted)
        judge_peeked(flow, result);
    return leave("recv MSG_PEEK", flow->fd, result);
}

ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags)
{
    struct flow *flow = flow_of(fd);
    bool cut_short = fault_short();

    enter();
    if (flags == MSG_PEEK)
        return peek(flow);
    bool blind = flow->role == &role_discard && !flow->opening && !flow->shut;
    must(flags == (blind ? MSG_TRUNC : 0) && length > 0); // which copies nothing
    touch_last(buffer, blind ? 0 : length);
    judge_recv(flow);
    int error = fault_error(CALL_RECV, flow);
    long result = error ? -error : flow_recv(flow, blind ? NULL : buffer, length, cut_short);
    judge_received(flow, buffer, result, cut_short);
    return leave("recv", fd, result);
}

static ssize_t send_log(int fd, const void *bytes, size_t length, int flags)
{
    enter();
    return leave("send", fd, reader_send(bytes, length, flags));
}

ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
    if (files_kind(fd) == FILE_STANDARD)
        return send_log(fd, bytes, length, flags);
    struct flow *flow = flow_of(fd);
    bool cut_short = fault_short();

    enter();
    must(flags == MSG_NOSIGNAL && length > 0);
    int error = fault_error(CALL_SEND, flow);
    if (error == EAGAIN)
        flow_press(flow);
    long result = error ? -error : flow_send(flow, bytes, length, cut_short);
    judge_sent(flow, bytes, result);
    return leave("send", fd, result);
}

int __wrap_shutdown(int fd, int how)
{
    struct flow *flow = flow_of(fd);

    must(how == SHUT_WR);
    int error = begin(CALL_SHUTDOWN, flow);
    long result = error ? -error : flow_shutdown(flow);
    judge_shutdown(flow, result);
    return (int)leave("shutdown", fd, result);
}

int __wrap_close(int fd)
{
    enum file_kind kind = files_kind(fd);
    bool registered = kind != FILE_NONE && files_get(fd, kind)->registered;

    enter();
    trace("close(%d)", fd);
    if (kind == FILE_NONE || kind == FILE_STANDARD)
        fail("close of descriptor %d, which is not the server's", fd);
    if (registered && (kind == FILE_FLOW || kind == FILE_SOCKET))
        fail("descriptor %d is closed without EPOLL_CTL_DEL", fd);
    if (kind == FILE_FLIGHT) {
        successor_dropped();
    } else if (kind == FILE_FLOW && flow_of(fd)->in_flight) {
        flow_of(fd)->fd = -1;
    } else if (kind == FILE_SOCKET && socket_of(fd)->in_flight) {
        judge_batch_over(socket_of(fd), false);
        socket_of(fd)->fd = -1;
    } else if (kind == FILE_FLOW) {
        judge_closed(flow_of(fd));
        flow_close(flow_of(fd));
    } else if (kind == FILE_SOCKET) {
        if (socket_of(fd)->listening)
            judge_listener_closed(socket_of(fd));
        else
            judge_batch_over(socket_of(fd), false);
        netsock_close(socket_of(fd));
    }
    files_close(fd);
    world.progress = true;
    return 0;
}

static long read_signal(void *buffer, size_t length)
{
    struct signalfd_siginfo info = {.ssi_signo = 0};
    int error = fault_error(CALL_READ, NULL);

    if (error || length < sizeof info)
        return -(error ? error : EINVAL);
    info.ssi_signo = (uint32_t)signal_read();
    if (info.ssi_signo == 0)
        return -EAGAIN;
    memcpy(buffer, &info, sizeof info);
    judge_signal((int)info.ssi_signo);
    return sizeof info;
}

static long read_timer(void *buffer)
{
    uint64_t times = 1;
    int error = fault_error(CALL_READ_TIMER, NULL);

    if (error)
        return -error;
    if (!timer_read())
        return -EAGAIN;
    memcpy(buffer, &times, sizeof times);
    judge_timer();
    return sizeof times;
}

static long read_token(char *buffer, size_t length)
{
    static const char content[] = JUDGE_TOKEN "\n";
    size_t whole = kernel.token == TOKEN_EMPTY ? 0 : sizeof content - 1;
    size_t left =
        whole > calls.token_read ? whole - calls.token_read : 0; // it may be cut meanwhile
    int error = fault_error(CALL_READ_FILE, NULL);

    touch_last(buffer, length);
    if (error)
        return -error;
    length = size_min(length, left);
    if (length > 1 && fault_short())
        length = 1;
    memcpy(buffer, content + calls.token_read, length);
    calls.token_read += length;
    return (long)length;
}

ssize_t __wrap_read(int fd, void *buffer, size_t length)
{
    enter();
    if (files_kind(fd) == FILE_TIMER)
        return leave("read", fd, read_timer(buffer));
    if (files_kind(fd) == FILE_SIGNALS)
        return leave("read", fd, read_signal(buffer, length));
    files_get(fd, FILE_TOKEN);
    return leave("read", fd, read_token(buffer, length));
}

int __wrap_open(const char *path, int flags, ...)
{
    if (!world.server)
        return __real_open(path, flags, 0644); // no universe: gcov's counts
    enter();
    bool log = strcmp(path, "/proc/self/fd/2") == 0 || strcmp(path, "/dev/tty") == 0;
    must(log || strcmp(path, CALLS_TOKEN_PATH) == 0);
    must((flags & O_CLOEXEC) && (flags & O_NONBLOCK) && (flags & O_NOCTTY));
    int error = fault_error(CALL_OPEN, NULL);
    if (!error && log)
        return (int)leave("open", -1, reader_open(path));
    if (!error && kernel.token == TOKEN_ABSENT)
        error = ENOENT;
    int fd = error ? -1 : files_open(FILE_TOKEN, NULL);
    if (!error && fd < 0)
        error = EMFILE;
    calls.token_read = 0;
    return (int)leave("open", fd, error ? -error : fd);
}

int __wrap_fstat(int fd, struct stat *status)
{
    bool log = files_kind(fd) == FILE_STANDARD;

    must(log || files_kind(fd) == FILE_TOKEN);
    int error = begin(CALL_FSTAT, NULL);
    if (!error && log)
        *status = (struct stat){.st_mode = reader_mode()};
    else if (!error)
        *status = (struct stat){.st_mode = kernel.token == TOKEN_READABLE ? 0100644 : 0100600};
    return (int)leave("fstat", fd, -error);
}

int __wrap_fstatat(int fd, const char *path, struct stat *status, int flags)
{
    must(*path == '\0' && flags == AT_EMPTY_PATH);
    return __wrap_fstat(fd, status);
}

// Not root, whoever runs the simulation: the log of root's would have a line more.
uid_t __wrap_geteuid(void)
{
    return 1000;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before)
{
    files_get(fd, FILE_TIMER);
    must(flags == TFD_TIMER_ABSTIME && !before);
    must(when->it_interval.tv_sec == 0 && when->it_interval.tv_nsec == 0);
    must(when->it_value.tv_sec != 0 || when->it_value.tv_nsec != 0);
    int error = begin(CALL_TIMERFD_SETTIME, NULL);
    if (error)
        world.fatal = true;
    else
        kernel.timer =
            ((uint64_t)when->it_value.tv_sec * SECOND + (uint64_t)when->it_value.tv_nsec);
    return (int)leave("timerfd_settime", fd, -error);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    enter();
    uint64_t now =
        clock == CLOCK_MONOTONIC ? world.now : (uint64_t)((int64_t)world.now + world.wall);

    *time = (struct timespec){.tv_sec = (time_t)(now / SECOND), .tv_nsec = (long)(now % SECOND)};
    return 0;
}

int __wrap_getrlimit(int resource, struct rlimit *limit)
{
    (void)resource;
    int error = begin(CALL_GETRLIMIT, NULL);
    if (!error)
        *limit = (struct rlimit){.rlim_cur = kernel.soft, .rlim_max = kernel.hard};
    return (int)leave("getrlimit", -1, -error);
}

int __wrap_setrlimit(int resource, const struct rlimit *limit)
{
    (void)resource;
    int error = begin(CALL_SETRLIMIT, NULL);
    if (!error && limit->rlim_cur > kernel.hard)
        error = EPERM;
    if (!error)
        kernel.soft = limit->rlim_cur;
    return (int)leave("setrlimit", -1, -error);
}

ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags)
{
    (void)flags;
    int error = begin(CALL_GETRANDOM, NULL);
    for (size_t i = 0; !error && i < length; i++)
        ((char *)buffer)[i] = (char)chance_next(&world.chance);
    return leave("getrandom", -1, error ? -error : (long)length);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
    enter();
    return leave("write", fd, reader_write(fd, bytes, length));
}

unsigned __wrap_if_nametoindex(const char *name)
{
    enter();
    bool known = strcmp(name, "eth0") == 0;

    errno = known ? errno : ENODEV;
    return known ? 2 : 0;
}

// The process's own settings: the simulation's must stay as they are.
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
    (void)before;
    must(how == SIG_BLOCK && sigismember(set, SIGTERM) && sigismember(set, SIGINT));
    return 0;
}

sighandler_t __wrap_signal(int number, sighandler_t handler)
{
    (void)number;
    return handler;
}
