// SPDX-License-Identifier: MIT
// The listeners when no descriptor is left, and sockets for datagrams that do not give or take any;
// accept4(2), recvmmsg(2), sendmmsg(2) and the clock are answered here.
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"
#include "transport/ports.h"

enum { MINUTE_SECONDS = 60, PERIODS = 10 };

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct ports ports;
    time_t seconds;
    long nanoseconds;
    unsigned refused, told;
    int error, send_error; // of recvmmsg and sendmmsg; 0: what the kernel says
    unsigned asked;        // calls of recvmmsg
    const char *warning;   // that is counted
} test;

int __real_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags,
                    struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags,
                    struct timespec *timeout);
int __real_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags);

int __wrap_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags, struct timespec *timeout)
{
    test.asked++;
    errno = test.error;
    return test.error ? -1 : __real_recvmmsg(fd, in, count, flags, timeout);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags)
{
    errno = test.send_error;
    return test.send_error ? -1 : __real_sendmmsg(fd, out, count, flags);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    (void)fd, (void)address, (void)length, (void)flags;
    test.refused++;
    errno = EMFILE;
    return -1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){.tv_sec = test.seconds, .tv_nsec = test.nanoseconds};
    return 0;
}

static bool count_warning(enum log_level level, const struct log_field *fields, size_t count,
                          uint64_t suppressed)
{
    (void)count, (void)suppressed;
    if (level == LOG_WARNING && strcmp(fields[0].text, test.warning) == 0)
        test.told++;
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

static void begin(const char *warning)
{
    memset(&test, 0, sizeof test);
    test.warning = warning;
    test.seconds = 1000;
    test.options = (struct options){.max_tcp = 10, .max_line = 100, .max_datagram = 100};
    log_set_sink(count_warning);
    assert_int_equal(loop_init(&test.loop, expire), 0);
    assert_true(peers_init(&test.service.peers, (uint64_t[2]){1, 2}));
    assert_true(ports_init(&test.ports, &test.loop, &test.options, &test.service));
}

static void end(void)
{
    log_set_sink(NULL);
    ports_finish(&test.ports);
    peers_finish(&test.service.peers);
    loop_finish(&test.loop);
}

static int listening(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

// A client waits all the time, and accepting is tried again and again.
TEST(that_descriptors_have_run_out_is_told_once_a_minute)
{
    struct sockaddr_in address;
    int client = socket(AF_INET, SOCK_STREAM, 0);

    begin("cannot accept, clients have to wait");
    assert_int_equal(ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_TCP,
                               listening(&address), true),
                     0);
    assert_int_equal(ports_serve(&test.ports), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    for (unsigned i = 0; i < PERIODS; i++) {
        // Some time within each period but the first, whose beginning is the first message.
        for (time_t second = 0; second <= MINUTE_SECONDS; second += MINUTE_SECONDS / 4) {
            assert_int_equal(loop_turn(&test.loop, true), 0);
            assert_int_equal(test.told, i + 1);
            test.seconds += second < MINUTE_SECONDS ? MINUTE_SECONDS / 4 : 1;
            test.loop.now = 0;
            ports_expire(&test.ports, loop_now(&test.loop)); // watches the listener again
        }
    }
    assert_int_equal(test.refused, PERIODS * 5);
    end();
    close(client);
}

static int bound(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    const char *call;

    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    assert_int_equal(net_adopt(fd, SOCK_DGRAM, &call), 0);
    return fd;
}

static int connected(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

// Everything that is ready has its turn, at a tick.
static void turns_at(ticks tick)
{
    struct epoll_event event;

    uint64_t time = test.loop.start + (uint64_t)tick * TICK_MILLISECONDS * 1000000;

    test.seconds = (time_t)(time / 1000000000);
    test.nanoseconds = (long)(time % 1000000000);
    test.loop.now = 0;
    if (ports_next(&test.ports) <= tick)
        ports_expire(&test.ports, tick);
    for (int i = 0; i < 10 && epoll_wait(test.loop.epoll, &event, 1, 0) > 0; i++) {
        test.loop.now = 0;
        assert_int_equal(loop_turn(&test.loop, true), 0);
    }
}

static ticks serve(struct sockaddr_in *address, const char *warning)
{
    begin(warning);
    assert_int_equal(ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_UDP,
                               bound(address), true),
                     0);
    assert_int_equal(ports_serve(&test.ports), 0);
    return loop_now(&test.loop);
}

// Asked again after a tick, two, four and so on, and after four seconds ever after.
TEST(what_cannot_be_received_is_asked_for_less_and_less_often)
{
    enum { HOUR = 3600 * TICKS_PER_SECOND };
    static const int errors[] = {ENOSYS, EPERM, EIO, ENOMEM};
    struct sockaddr_in address;
    char answer[10];

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        ticks start = serve(&address, "cannot receive, datagrams have to wait"), now = start;
        int client = connected(&address);

        test.error = errors[i];
        assert_int_equal(send(client, "hello", 5, 0), 5);
        turns_at(now);
        assert_int_equal(test.asked, 2);
        for (unsigned asked = 2; asked < 6; asked++) {
            assert_int_equal(ports_next(&test.ports), now + (1U << (asked - 2)));
            turns_at(now = ports_next(&test.ports));
            assert_int_equal(test.asked, asked + 1);
        }
        while (now < start + HOUR) {
            assert_int_equal(ports_next(&test.ports), now + 16);
            turns_at(now = ports_next(&test.ports));
        }
        assert_in_range(test.told, 55, 60);
        test.error = 0;
        turns_at(now = ports_next(&test.ports));
        assert_int_equal(recv(client, answer, sizeof answer, MSG_DONTWAIT), 5);
        assert_int_equal(ports_next(&test.ports), TICKS_NEVER);
        end();
        close(client);
    }
}

// The call that tells it takes it away.
TEST(an_error_that_is_told_once_costs_no_pause)
{
    struct sockaddr_in address;
    ticks now = serve(&address, "cannot receive, datagrams have to wait");
    int client = connected(&address);
    char answer[10];

    for (int i = 0; i < 3; i++) {
        test.error = ECONNREFUSED;
        assert_int_equal(send(client, "hello", 5, 0), 5);
        test.loop.now = 0;
        assert_int_equal(loop_turn(&test.loop, true), 0);
        test.error = 0;
        turns_at(now);
        assert_int_equal(recv(client, answer, sizeof answer, MSG_DONTWAIT), 5);
    }
    assert_int_equal(test.told, 0);
    end();
    close(client);
}

// Which the kernel reports as input for ever.
TEST(a_socket_that_somebody_has_shut_down_is_left_alone)
{
    static const int how[] = {SHUT_RD, SHUT_RDWR};
    struct sockaddr_in address;

    for (size_t i = 0; i < 2; i++) {
        ticks now = serve(&address, "cannot receive, datagrams have to wait");

        shutdown(test.ports.port[0].watch.fd, how[i]); // ENOTCONN, and done
        for (ticks end = now + 1000; now < end; now++)
            turns_at(now);
        assert_in_range(test.asked, 3, 100);
        assert_in_range(test.told, 4, 5);
        end();
    }
}

TEST(that_nothing_can_be_sent_is_told_once_a_minute)
{
    static const struct {
        int error;
        unsigned told;
    } row[] = {{ENOSYS, 2}, {EIO, 2}, {EPERM, 2}, {EACCES, 0}, {EHOSTUNREACH, 0}, {EINVAL, 0}};
    struct sockaddr_in address;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        ticks now = serve(&address, "cannot send, answers are lost");
        int client = connected(&address);

        for (unsigned second = 0; second < 70; second++) {
            assert_int_equal(send(client, "hello", 5, 0), 5);
            test.loop.now = 0;
            test.seconds = (now / TICKS_PER_SECOND) + second;
            test.send_error = row[i].error;
            assert_int_equal(loop_turn(&test.loop, true), 0);
        }
        assert_int_equal(test.told, row[i].told);
        assert_int_equal(counters_dropped(&test.service.counters), 70);
        end();
        close(client);
    }
}
