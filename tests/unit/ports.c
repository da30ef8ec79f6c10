// SPDX-License-Identifier: MIT
// Ports: who is taken in, how many in a turn, when nobody can be, sockets for datagrams that do not
// give or take any, and the end. Real sockets; the clock is the test's, and so is what a call says
// now and then.
#include "unit.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/crowd.h"
#include "transport/ports.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { CLIENTS_MAX = 200, BACKLOG = 150 };

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct ports ports;
    struct address address; // of the listener
    int client[CLIENTS_MAX];
    int clients;
    unsigned tick, warned;
    char logged[200];
    int error;     // of accept4,
    unsigned left; // the next so many times
    int control_error, option_error;
    int receive_error, send_error; // of datagrams; 0: what the kernel says
    unsigned asked;                // calls of recvmmsg
} test;

static time_t epoch = 1000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){epoch + test.tick / TICKS_PER_SECOND,
                              test.tick % TICKS_PER_SECOND * TICK_MILLISECONDS * 1000000};
    return 0;
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    if (test.left == 0)
        return __real_accept4(fd, address, length, flags);
    test.left--;
    errno = test.error;
    return -1;
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    errno = test.control_error;
    return errno ? -1 : __real_epoll_ctl(epoll, operation, fd, event);
}

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    errno = test.option_error;
    return errno ? -1 : __real_setsockopt(fd, level, name, value, length);
}

int __real_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags, struct timespec *wait);
int __wrap_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags, struct timespec *wait)
{
    test.asked++;
    errno = test.receive_error;
    return errno ? -1 : __real_recvmmsg(fd, in, count, flags, wait);
}

int __real_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags)
{
    errno = test.send_error;
    return errno ? -1 : __real_sendmmsg(fd, out, count, flags);
}

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    struct text text = text_in(test.logged, sizeof test.logged);
    char room[LOG_VALUE_MAX];

    (void)suppressed;
    test.warned += level == LOG_WARNING;
    for (size_t i = 0; i < count; i++)
        text_format(&text, "%s%s", i ? " " : "", log_value(&fields[i], room));
    text_end(&text);
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

static int bound(int type)
{
    const char *call;
    struct address any = address_of_v4((struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
    int fd = net_open(type, &any, NET_ONE_FAMILY, BACKLOG, &call);

    assert_true(fd >= 0);
    return fd;
}

static int add(enum protocol protocol, bool own)
{
    return ports_add(&test.ports, (struct duty){.role = &role_echo}, protocol,
                     bound(protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM), own);
}

// Two ports, the first for datagrams: what is done to listeners is not done to it.
static void begin(bool own)
{
    memset(&test, 0, sizeof test);
    epoch += 1000;
    log_set_level(LOG_INFO);
    log_set_sink(note);
    test.options = (struct options){
        .max_tcp = CLIENTS_MAX, .max_line = 100, .max_datagram = 100, .backlog = 100};
    assert_int_equal(loop_init(&test.loop, expire), 0);
    assert_true(peers_init(&test.service.peers, (uint64_t[2]){1, 2}));
    assert_true(ports_init(&test.ports, &test.loop, &test.options, &test.service));
    assert_int_equal(add(PROTOCOL_UDP, own), 0);
    assert_int_equal(add(PROTOCOL_TCP, own), 0);
    test.address = test.ports.port[1].local;
    assert_int_equal(ports_serve(&test.ports), 0);
}

BEFORE_EACH
{
    begin(true);
}

AFTER_EACH
{
    ports_finish(&test.ports, "the test is over");
    peers_finish(&test.service.peers);
    loop_finish(&test.loop);
    while (test.clients > 0)
        close(test.client[--test.clients]);
    log_set_sink(NULL);
}

static void begin_again(bool own)
{
    unit_after_each();
    begin(own);
}

// So many clients are in the listener's queue: tcp(7), TCP_INFO.
static unsigned waiting(void)
{
    struct tcp_info info = {.tcpi_unacked = 0};
    socklen_t length = sizeof info;

    getsockopt(test.ports.port[1].watch.fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_unacked;
}

// The kernel may be late with the last step, but where it does not tell (qemu-user) it is not.
static void connect_some(int count)
{
    struct sockaddr_storage storage;
    socklen_t length = address_store(&test.address, AF_INET, &storage);
    unsigned all = waiting() + (unsigned)count;

    while (count-- > 0) {
        int fd = test.client[test.clients++] = socket(AF_INET, SOCK_STREAM, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&storage, length), 0);
    }
    for (int i = 0; i < 100000 && waiting() < all; i++)
        continue;
}

static void turn(void)
{
    assert_int_equal(loop_turn(&test.loop, false), 0);
}

static void expect_connected(unsigned connected, bool paused)
{
    assert_int_equal(test.service.counters.connected_tcp, connected);
    assert_int_equal(test.ports.paused, paused);
    assert_int_equal(test.ports.port[1].watched, !paused);
    assert_true(test.ports.port[0].watched);
}

// The time after which the latest connection is probed.
static int probed_after(void)
{
    const struct list *last = test.ports.pool.idle.list.previous;
    int seconds = 0;
    socklen_t length = sizeof seconds;

    getsockopt(container_of(last, struct conn, idle.link)->watch.fd, IPPROTO_TCP, TCP_KEEPIDLE,
               &seconds, &length);
    return seconds;
}

TEST(so_many_are_accepted_in_a_turn)
{
    connect_some(140);
    turn();
    expect_connected(64, false);
    turn();
    expect_connected(128, false);
    turn();
    expect_connected(140, false);
}

TEST(not_all_are_probed_at_once)
{
    static const int seconds[] = {60, 60, 97, 74, 111, 88};

    for (unsigned i = 0; i < ARRAY_LENGTH(seconds); i++) {
        connect_some(1);
        turn();
        expect_connected(i + 1, false);
        assert_int_equal(probed_after(), seconds[i]);
    }
}

TEST(who_is_one_too_many_is_told_and_others_wait)
{
    struct pool *pool = &test.ports.pool;

    test.options.max_tcp = 2;
    pool->max_busy = 1;
    connect_some(5);
    turn();
    expect_connected(2, true);
    assert_int_equal(pool->busy, 1);
    assert_int_equal(test.warned, 0);
    assert_int_equal(ports_next(&test.ports), crowd_next(pool)); // nothing to be tried
    ports_resume(&test.ports);
    expect_connected(2, true);
    conn_close(container_of(pool->idle.list.next, struct conn, idle.link), CLOSED_EOF, "why");
    test.service.phase = PHASE_DRAIN;
    ports_resume(&test.ports);
    expect_connected(1, true);
    test.service.phase = PHASE_READY;
    ports_resume(&test.ports);
    expect_connected(1, false);
    turn();
    expect_connected(2, true);
    assert_int_equal(pool->busy, 1);
}

TEST(what_lies_with_a_client_costs_it_alone)
{
    static const int error[] = {
        EINTR,     ECONNABORTED, EPERM,        EPROTO,     ENETDOWN,    ENOPROTOOPT,
        EHOSTDOWN, ENONET,       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, ETIMEDOUT,
    };

    for (unsigned i = 0; i < ARRAY_LENGTH(error); i++) {
        test.error = error[i];
        test.left = ACCEPTS_PER_TURN_MAX - 1;
        connect_some(1);
        turn();
        expect_connected(i + 1, false);
    }
    assert_int_equal(test.warned, 0);
    test.error = EAGAIN;
    test.left = 1;
    connect_some(1);
    turn();
    expect_connected(ARRAY_LENGTH(error), false);
}

TEST(what_lies_here_is_told_and_tried_again)
{
    static const int error[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EINVAL, EPERM};

    for (size_t i = 0; i < ARRAY_LENGTH(error); i++) {
        test.error = error[i];
        test.left = error[i] == EPERM ? ACCEPTS_PER_TURN_MAX : 1;
        connect_some(2);
        turn();
        expect_connected(0, true);
        assert_int_equal(test.warned, 1);
        ticks now = loop_now(&test.loop);
        assert_int_equal(ports_next(&test.ports), now + 1);
        ports_expire(&test.ports, now);
        test.service.phase = PHASE_DRAIN;
        ports_expire(&test.ports, now + 1);
        assert_int_equal(ports_next(&test.ports), TICKS_NEVER);
        test.service.phase = PHASE_READY;
        expect_connected(0, true);
        test.control_error = ENOMEM; // it cannot be watched either
        test.tick++;
        test.loop.now = 0;
        ports_expire(&test.ports, now + 1);
        expect_connected(0, true);
        assert_int_equal(test.warned, 1);
        assert_int_equal(ports_next(&test.ports), now + 2);
        test.control_error = 0;
        ports_expire(&test.ports, now + 2);
        expect_connected(0, false);
        assert_int_equal(ports_next(&test.ports), TICKS_NEVER);
        test.left = ACCEPTS_PER_TURN_MAX - 1; // those before do not count
        test.error = EPERM;
        turn();
        expect_connected(1, false);
        begin_again(true);
    }
}

static void pass(unsigned ticks_passed)
{
    test.tick += ticks_passed;
    test.loop.now = 0;
}

// A client waits all the time, and accepting is tried again and again.
TEST(that_descriptors_have_run_out_is_told_once_a_minute)
{
    enum { MINUTE = 60 * TICKS_PER_SECOND, PERIODS = 10 };

    test.error = EMFILE;
    test.left = UINT32_MAX;
    connect_some(1);
    for (unsigned i = 0; i < PERIODS; i++) {
        // Some time within each period but the first, whose beginning is the first message.
        for (unsigned at = 0; at <= MINUTE; at += MINUTE / 4) {
            turn();
            assert_int_equal(test.warned, i + 1);
            pass(at < MINUTE ? MINUTE / 4 : TICKS_PER_SECOND);
            ports_expire(&test.ports, loop_now(&test.loop)); // watches the listener again
        }
    }
    assert_int_equal(UINT32_MAX - test.left, PERIODS * 5);
    assert_memory_equal(test.logged, "cannot accept, clients have to wait ", 36);
}

// A client of the port for datagrams.
static int asker(void)
{
    struct sockaddr_storage storage;
    socklen_t length = address_store(&test.ports.port[0].local, AF_INET, &storage);
    int fd = test.client[test.clients++] = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&storage, length), 0);
    return fd;
}

static void expect_echo(int client)
{
    char answer[10];

    assert_int_equal(recv(client, answer, sizeof answer, MSG_DONTWAIT), 5);
}

// Everything that is ready has its turn, at a tick.
static void turns_at(ticks now)
{
    struct epoll_event event;

    test.tick = now - 1;
    test.loop.now = 0;
    if (ports_next(&test.ports) <= now)
        ports_expire(&test.ports, now);
    for (int i = 0; i < 10 && epoll_wait(test.loop.epoll, &event, 1, 0) > 0; i++)
        turn();
}

// Asked again after a tick, two, four and so on, and after four seconds ever after.
TEST(what_cannot_be_received_is_asked_for_less_and_less_often)
{
    enum { HOUR = 3600 * TICKS_PER_SECOND };
    static const int errors[] = {ENOSYS, EPERM, EIO, ENOMEM};

    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        int client = asker();
        ticks now = 1;

        test.receive_error = errors[i];
        assert_int_equal(send(client, "hello", 5, 0), 5);
        turns_at(now);
        assert_int_equal(test.asked, 2);
        for (unsigned asked = 2; asked < 6; asked++) {
            assert_int_equal(ports_next(&test.ports), now + (1U << (asked - 2)));
            turns_at(now = ports_next(&test.ports));
            assert_int_equal(test.asked, asked + 1);
        }
        while (now < HOUR) {
            assert_int_equal(ports_next(&test.ports), now + 16);
            turns_at(now = ports_next(&test.ports));
        }
        assert_in_range(test.warned, 55, 60);
        assert_memory_equal(test.logged, "cannot receive, datagrams have to wait ", 39);
        test.receive_error = 0;
        turns_at(ports_next(&test.ports));
        expect_echo(client);
        assert_int_equal(ports_next(&test.ports), TICKS_NEVER);
        begin_again(true);
    }
}

// The call that tells it takes it away.
TEST(an_error_that_is_told_once_costs_no_pause)
{
    int client = asker();

    for (int i = 0; i < 3; i++) {
        test.receive_error = ECONNREFUSED;
        assert_int_equal(send(client, "hello", 5, 0), 5);
        turn();
        test.receive_error = 0;
        turns_at(1);
        expect_echo(client);
    }
    assert_int_equal(test.warned, 0);
}

// Which the kernel reports as input for ever.
TEST(a_socket_that_somebody_has_shut_down_is_left_alone)
{
    static const int how[] = {SHUT_RD, SHUT_RDWR};

    for (size_t i = 0; i < ARRAY_LENGTH(how); i++) {
        shutdown(test.ports.port[0].watch.fd, how[i]); // ENOTCONN, and done
        for (ticks now = 1; now < 1000; now++)
            turns_at(now);
        assert_in_range(test.asked, 3, 100);
        assert_in_range(test.warned, 4, 5);
        begin_again(true);
    }
}

TEST(that_nothing_can_be_sent_is_told_once_a_minute)
{
    static const struct {
        int error;
        unsigned told;
    } row[] = {{ENOSYS, 2}, {EIO, 2}, {EPERM, 2}, {EACCES, 0}, {EHOSTUNREACH, 0}, {EINVAL, 0}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        int client = asker();

        test.send_error = row[i].error;
        for (unsigned second = 0; second < 70; second++) {
            assert_int_equal(send(client, "hello", 5, 0), 5);
            turn();
            pass(TICKS_PER_SECOND);
        }
        assert_int_equal(test.warned, row[i].told);
        assert_int_equal(counters_dropped(&test.service.counters), 70);
        begin_again(true);
    }
}

TEST(a_port_that_cannot_be_set_up_is_closed)
{
    size_t count = test.ports.count;
    int value = 0, free = dup(0);
    socklen_t length = sizeof value;

    close(free);
    int fd = bound(SOCK_STREAM);
    test.options.socket_buffer = 1;
    test.option_error = ENOBUFS;
    assert_int_equal(
        ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_TCP, fd, true), -1);
    assert_int_equal(errno, ENOBUFS);
    fd = socket(AF_INET, SOCK_DGRAM, 0); // without a port
    assert_int_equal(
        ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_UDP, fd, true), -1);
    assert_int_equal(test.ports.count, count);
    test.option_error = 0;
    test.options.socket_buffer = 20000;
    assert_int_equal(add(PROTOCOL_UDP, true), 0);
    getsockopt(test.ports.port[count].watch.fd, SOL_SOCKET, SO_RCVBUF, &value, &length);
    assert_int_not_equal(value, 2 * 20000);
    ports_forget(&test.ports, count);
    assert_int_equal(add(PROTOCOL_TCP, true), 0);
    fd = test.ports.port[count].watch.fd;
    assert_int_equal(fd, free); // the others are closed
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length);
    assert_int_equal(value, 2 * 20000);
    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &length);
    assert_int_equal(value, 2 * 20000);
    ports_forget(&test.ports, count);
    assert_int_equal(close(fd), -1);
    getsockopt(test.ports.port[1].watch.fd, SOL_SOCKET, SO_RCVBUF, &value, &length);
    assert_true(value > 2 * 20000); // without a bound
}

static int receive_buffer(void)
{
    const struct list *last = test.ports.pool.idle.list.previous;
    int bytes = 0;
    socklen_t length = sizeof bytes;

    getsockopt(container_of(last, struct conn, idle.link)->watch.fd, SOL_SOCKET, SO_RCVBUF, &bytes,
               &length);
    return bytes;
}

// Until the queue has been empty once.
TEST(who_was_there_before_a_passed_listeners_options_gets_them_late)
{
    begin_again(false);
    test.options.socket_buffer = 20000;
    connect_some(1);
    turn();
    assert_int_equal(receive_buffer(), 2 * 20000);
    connect_some(1);
    turn();
    assert_true(receive_buffer() > 2 * 20000);
}

TEST(who_cannot_be_given_them_is_served_without)
{
    begin_again(false);
    test.options.socket_buffer = 20000;
    test.option_error = ENOBUFS;
    connect_some(1);
    turn();
    expect_connected(1, false);
    assert_true(receive_buffer() > 2 * 20000);
}

// The service manager keeps a socket for many processes, and none counts what an earlier one has
// lost.
TEST(what_a_passed_socket_has_lost_before_is_not_counted)
{
    const int least = 1;
    int fd = bound(SOCK_DGRAM), client = socket(AF_INET, SOCK_DGRAM, 0);
    struct address address = net_local(fd);
    struct sockaddr_storage storage;
    socklen_t length = address_store(&address, AF_INET, &storage);
    char byte = 'x';

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
    assert_int_equal(net_lost(fd), 0);
    for (int i = 0; i < 1000; i++)
        sendto(client, &byte, 1, 0, (struct sockaddr *)&storage, length);
    assert_true(net_lost(fd) > 0);
    assert_int_equal(
        ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_UDP, fd, false), 0);
    const struct port *port = &test.ports.port[test.ports.count - 1];
    assert_int_equal(port->lost, net_lost(fd));
    while (udp_turn(&test.ports.udp, (struct port *)port) > 0)
        continue;
    assert_int_equal(sendto(client, &byte, 1, 0, (struct sockaddr *)&storage, length), 1);
    udp_turn(&test.ports.udp, (struct port *)port); // which tells of those that were lost
    assert_int_equal(test.service.counters.udp_dropped[DROP_KERNEL], 0);
    close(client);
}

TEST(a_port_too_many_is_closed)
{
    while (test.ports.count < PORTS_MAX)
        assert_int_equal(add(PROTOCOL_UDP, true), 0);
    int free = dup(0);
    close(free);
    assert_int_equal(add(PROTOCOL_UDP, true), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_string_equal(test.logged, "too many sockets 256");
    assert_int_equal(test.ports.count, PORTS_MAX);
    assert_int_equal(close(free), -1);
    connect_some(1); // and no port beyond is looked at
    test.left = 1;
    test.error = EMFILE;
    turn();
    expect_connected(0, true);
    test.ports.rest_over = 0;
    ports_expire(&test.ports, loop_now(&test.loop) + 1);
    expect_connected(0, false);
    ports_drain(&test.ports);
    assert_false(ports_drain_some(&test.ports));
    assert_int_equal(test.service.counters.connected_tcp, 1);
}

TEST(descriptor_zero_is_served_and_closed)
{
    int standard = dup(0);

    close(0);
    assert_int_equal(add(PROTOCOL_UDP, true), 0);
    assert_int_equal(test.ports.port[2].watch.fd, 0);
    ports_forget(&test.ports, 2);
    connect_some(1);
    close(test.client[0]); // which was 0
    turn();
    expect_connected(1, false);
    crowd_close(&test.ports.pool, "why");
    assert_int_equal(close(0), -1);
    test.clients = 0;
    dup2(standard, 0);
    close(standard);
}

TEST(each_port_is_told)
{
    char expected[100];

    snprintf(expected, sizeof expected, "listening echo tcp %s", ADDRESS_STRING(&test.address));
    assert_string_equal(test.logged, expected);
    assert_int_equal(ports_serve(&test.ports), -1); // they are served already
    int fd = bound(SOCK_STREAM);
    assert_int_equal(ports_add(&test.ports, (struct duty){&role_raw, true}, PROTOCOL_TCP, fd, true),
                     0);
    loop_remove(&test.loop, &test.ports.port[0].watch);
    loop_remove(&test.loop, &test.ports.port[1].watch);
    assert_int_equal(ports_serve(&test.ports), 0);
    snprintf(expected, sizeof expected, "listening raw+proxy tcp %s",
             ADDRESS_STRING(&test.ports.port[2].local));
    assert_string_equal(test.logged, expected);
}

TEST(the_dscp_of_datagrams_is_asked_for)
{
    int value = 0;
    socklen_t length = sizeof value;

    test.options.dscp_reflect = true;
    assert_int_equal(add(PROTOCOL_UDP, true), 0);
    getsockopt(test.ports.port[2].watch.fd, IPPROTO_IP, IP_RECVTOS, &value, &length);
    assert_int_equal(value, 1);
    test.option_error = ENOMEM;
    assert_int_equal(ports_add(&test.ports, (struct duty){.role = &role_echo}, PROTOCOL_UDP,
                               socket(AF_INET, SOCK_DGRAM, 0), true),
                     -1);
    test.option_error = 0;
}

TEST(only_a_port_that_rests_is_watched_again)
{
    struct port *datagrams = &test.ports.port[0];
    ticks now = loop_now(&test.loop);

    test.error = EMFILE;
    test.left = 1;
    connect_some(1);
    turn();
    test.ports.rest_over = now;
    ports_expire(&test.ports, now);
    expect_connected(0, true);
    assert_int_equal(datagrams->failures, 0);
    loop_remove(&test.loop, &datagrams->watch);
    datagrams->watched = false;
    datagrams->failures = 1;
    test.ports.rest_over = now;
    test.control_error = ENOMEM;
    ports_expire(&test.ports, now);
    assert_false(datagrams->watched);
    assert_int_equal(test.ports.rest_over, now + 1);
    test.control_error = 0;
    ports_expire(&test.ports, now); // which is too early
    assert_false(datagrams->watched);
    ports_expire(&test.ports, now + 1);
    expect_connected(0, false);
}

static bool is_open(size_t number)
{
    return test.ports.port[number].watch.fd >= 0;
}

// Until nobody waits, and not for ever: who came when the end began is among the first.
TEST(who_waits_at_the_end_is_served)
{
    static const struct {
        int waiting;
        unsigned connected[3]; // after each part
    } row[] = {{0, {0, 0, 0}}, {63, {63, 63, 63}}, {64, {64, 64, 64}}, {140, {64, 128, 128}}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        connect_some(row[i].waiting);
        ports_drain(&test.ports);
        assert_int_equal(test.ports.port[0].last, 256);
        assert_false(test.ports.port[0].watched || test.ports.port[1].watched);
        for (int part = 0; part < 3; part++) {
            bool more = is_open(1) && row[i].waiting >= 64 * (part + 1) && part < 2;

            assert_int_equal(ports_drain_some(&test.ports),
                             part == 2 && row[i].waiting == 140 ? true : more);
            assert_int_equal(test.service.counters.connected_tcp, row[i].connected[part]);
            assert_int_equal(is_open(1), more);
        }
        begin_again(true);
    }
    begin_again(false);
    connect_some(1);
    ports_drain(&test.ports); // another process's queue
    assert_false(is_open(0) || is_open(1));
    assert_false(ports_drain_some(&test.ports));
}

static int takes_trains(int fd)
{
    int on = -1;
    socklen_t length = sizeof on;

    assert_int_equal(getsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, &length), 0);
    return on;
}

// Whoever reads it then may not know of several datagrams in one message.
TEST(a_passed_socket_is_left_as_others_expect_it)
{
    for (int own = 0; own < 2; own++) {
        int shared = dup(test.ports.port[0].watch.fd), on = 1;

        test.ports.port[0].own = own;
        assert_int_equal(setsockopt(shared, IPPROTO_UDP, UDP_GRO, &on, sizeof on), 0);
        ports_drain(&test.ports);
        assert_int_equal(takes_trains(shared), own);
        close(shared);
        begin_again(true);
    }
}

TEST(so_many_parts_have_a_queues_end)
{
    static const unsigned row[][2] = {{1, 1}, {63, 1}, {64, 2}, {4096, 65}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        test.options.backlog = row[i][0];
        ports_drain(&test.ports);
        assert_int_equal(test.ports.port[1].last, row[i][1]);
    }
}

TEST(datagrams_that_have_come_are_answered_at_the_end)
{
    int client = asker();

    for (int i = 0; i < UDP_BATCH_MAX + 1; i++)
        assert_int_equal(send(client, "x", 1, 0), 1);
    ports_drain(&test.ports);
    assert_true(ports_drain_some(&test.ports));
    assert_int_equal(test.service.counters.udp_answered, UDP_BATCH_MAX);
    assert_true(ports_drain_some(&test.ports));
    assert_int_equal(test.service.counters.udp_answered, UDP_BATCH_MAX + 1);
    assert_true(is_open(0));
    assert_false(ports_drain_some(&test.ports)); // there is nothing more
    assert_false(is_open(0));
}

TEST(descriptor_zero_is_answered_at_the_end_too)
{
    int standard = dup(0), client = asker();

    close(0);
    assert_int_equal(dup(test.ports.port[0].watch.fd), 0);
    loop_remove(&test.loop, &test.ports.port[0].watch);
    close(test.ports.port[0].watch.fd);
    test.ports.port[0].watch.fd = 0;
    test.ports.port[0].watched = false;
    assert_int_equal(send(client, "x", 1, 0), 1);
    ports_drain(&test.ports);
    assert_true(ports_drain_some(&test.ports));
    assert_int_equal(test.service.counters.udp_answered, 1);
    assert_false(ports_drain_some(&test.ports)); // there is nothing more
    assert_int_equal(close(0), -1);
    dup2(standard, 0);
    close(standard);
}

// Each connection has one turn more, and that once.
TEST(the_end_comes_to_each_connection_once)
{
    connect_some(CROWD_PER_TURN_MAX + 1);
    turn();
    turn();
    assert_false(ports_empty(&test.ports));
    ports_drain(&test.ports);
    assert_true(ports_drain_some(&test.ports));
    assert_false(ports_drain_some(&test.ports));
    assert_false(ports_drain_some(&test.ports));
    crowd_close(&test.ports.pool, "why");
    assert_true(ports_empty(&test.ports));
    test.ports.pool.busy = 1;
    assert_false(ports_empty(&test.ports));
    test.ports.pool.busy = 0;
}
