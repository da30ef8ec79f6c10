// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/net.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

TEST(what_is_exhausted_is_told_from_what_fails_once)
{
    static const int exhausted[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    static const int other[] = {0, EAGAIN, EINTR, EPERM, ECONNABORTED, EADDRINUSE};

    for (size_t i = 0; i < sizeof exhausted / sizeof exhausted[0]; i++)
        assert_true(net_exhausted(exhausted[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(net_exhausted(other[i]));
}

TEST(what_is_no_socket_is_not_adopted)
{
    const char *call;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "getsockopt");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "fcntl");
    int fd = socket(AF_INET, SOCK_DGRAM, 0); // whose options are others
    assert_int_equal(net_adopt(fd, SOCK_STREAM, &call), -1);
    assert_string_equal(call, "setsockopt");
    close(fd);
}

TEST(sixty_turns_in_a_row_are_kept_alive_after_sixty_different_times)
{
    enum { TURNS = 60, LEAST_SECONDS = 60, FIRST = 1234 };
    bool seen[TURNS] = {false};
    int fd = socket(AF_INET, SOCK_STREAM, 0), seconds;
    socklen_t length = sizeof seconds;

    assert_true(fd >= 0);
    for (unsigned turn = FIRST; turn < FIRST + TURNS; turn++) {
        net_vary_keepalive(fd, turn);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, &length), 0);
        assert_in_range(seconds, LEAST_SECONDS, LEAST_SECONDS + TURNS - 1);
        assert_false(seen[seconds - LEAST_SECONDS]);
        seen[seconds - LEAST_SECONDS] = true;
    }
    close(fd);
}

static int listener(int type, struct address *address)
{
    const char *call;

    assert_true(address_parse("127.0.0.1", address));
    int fd = net_open(type, address, NET_ONE_FAMILY, 1, &call);
    assert_true(fd >= 0);
    *address = net_local(fd);
    return fd;
}

TEST(a_socket_is_connected_without_waiting)
{
    static const int type[] = {SOCK_STREAM, SOCK_DGRAM};

    for (size_t i = 0; i < 2; i++) {
        struct address address;
        int there = listener(type[i], &address), fd = net_connect(type[i], &address);
        struct pollfd writable = {.fd = fd, .events = POLLOUT};

        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(poll(&writable, 1, 30000), 1);
        assert_int_equal(writable.revents, POLLOUT);
        struct address peer = net_peer(fd);
        assert_string_equal(ADDRESS_STRING(&peer), ADDRESS_STRING(&address));
        close(fd);
        close(there);
    }
}

TEST(what_cannot_be_connected_leaves_nothing_open)
{
    struct address address;
    int next = dup(0);

    close(next);
    assert_true(address_parse("255.255.255.255", &address)); // without SO_BROADCAST
    address.port = 7;
    assert_int_equal(net_connect(SOCK_DGRAM, &address), -1);
    assert_true(errno == EACCES || errno == ENETUNREACH); // or there is no network at all
    assert_int_equal(dup(0), next);
    close(next);
}

TEST(an_interface_has_a_name_or_a_number)
{
    char number[16];
    uint32_t loopback = net_interface("lo");

    assert_true(loopback > 0);
    snprintf(number, sizeof number, "%u", loopback);
    assert_int_equal(net_interface(number), loopback);
    assert_int_equal(net_interface("nowhere"), 0);
    assert_int_equal(errno, ENODEV);
    assert_int_equal(net_interface("2147483647"), 0);
    assert_int_equal(net_interface("0"), 0);
}

static int value_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    getsockopt(fd, level, name, &value, &length);
    return value;
}

// What somebody may have set for a socket before it is passed, and what has to become of it. Not
// every kernel knows all of it.
struct wish {
    int level, name, set, wanted;
};

static const struct wish wishes[] = {
    {SOL_SOCKET, SO_LINGER, 1, 0},
    {SOL_SOCKET, SO_BROADCAST, 1, 0},
    {SOL_SOCKET, SO_TIMESTAMPNS, 1, 0},
    {SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE, 0},
    {SOL_SOCKET, SO_WIFI_STATUS, 1, 0},
    {IPPROTO_IP, IP_RECVERR, 1, 0},
    {IPPROTO_IPV6, IPV6_RECVERR, 1, 0},
    {IPPROTO_IPV6, IPV6_DONTFRAG, 1, 0},
};

static const struct wish stream_wishes[] = {
    {SOL_SOCKET, SO_RCVLOWAT, 100, 1},
    {IPPROTO_TCP, TCP_CORK, 1, 0},
};

static const struct wish datagram_wishes[] = {
    {IPPROTO_UDP, UDP_CORK, 1, 0},
    {IPPROTO_UDP, UDP_SEGMENT, 500, 0},
    {IPPROTO_UDP, UDP_GRO, 0, 1},
    {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_OMIT},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, IPV6_PMTUDISC_WANT},
};

static void spoil(int fd, const struct wish *wish, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int value[2] = {wish[i].set, 1000};
        socklen_t length = wish[i].name == SO_LINGER ? sizeof value : sizeof value[0];

        setsockopt(fd, wish[i].level, wish[i].name, value, length);
    }
}

// Those that there are: an option that could not be set cannot be read either, or has its default.
static void check(int fd, const struct wish *wish, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int value = value_of(fd, wish[i].level, wish[i].name);

        if (value != -1 && value != wish[i].wanted)
            fail_msg("level %d, option %d: %d", wish[i].level, wish[i].name, value);
    }
}

#define ALL(wishes) (wishes), ARRAY_LENGTH(wishes)

TEST(what_is_set_for_a_passed_socket_is_not_trusted)
{
    static const int families[] = {AF_INET, AF_INET6};
    const char *call;

    for (size_t i = 0; i < 2; i++) {
        int stream = socket(families[i], SOCK_STREAM, 0);
        int datagram = socket(families[i], SOCK_DGRAM, 0);

        spoil(stream, ALL(wishes));
        spoil(stream, ALL(stream_wishes));
        spoil(datagram, ALL(wishes));
        spoil(datagram, ALL(datagram_wishes));
        assert_int_equal(value_of(datagram, IPPROTO_IP, IP_RECVERR), 1);
        assert_int_equal(net_adopt(stream, SOCK_STREAM, &call), 0);
        assert_int_equal(net_adopt(datagram, SOCK_DGRAM, &call), 0);
        check(stream, ALL(wishes));
        check(stream, ALL(stream_wishes));
        check(datagram, ALL(wishes));
        check(datagram, ALL(datagram_wishes));
        close(stream);
        close(datagram);
    }
}

// Of a peer that was gone before.
TEST(errors_that_wait_at_a_passed_socket_are_thrown_away)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof nobody;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), gone = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    const char *call;

    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    assert_int_equal(bind(gone, (struct sockaddr *)&nobody, length), 0);
    assert_int_equal(getsockname(gone, (struct sockaddr *)&nobody, &length), 0);
    close(gone);
    sendto(fd, "", 0, 0, (struct sockaddr *)&nobody, length);
    assert_int_equal(poll(&polled, 1, 30000), 1);
    assert_true(polled.revents & POLLERR);
    assert_int_equal(net_adopt(fd, SOCK_DGRAM, &call), 0);
    recv(fd, &on, sizeof on, MSG_DONTWAIT); // an error of its own that the socket had
    assert_int_equal(poll(&polled, 1, 0), 0);
    close(fd);
}

// Without the kernel's word, silence is not believed to have been interrupted.
TEST(what_is_no_connection_has_been_silent_for_ever)
{
    assert_int_equal(net_silent_milliseconds(-1), UINT32_MAX);
}

// A connection's two ends; the server's does not block.
static int accepted(int *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    *client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(*client, (struct sockaddr *)&address, length), 0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    close(listener);
    return fd;
}

TEST(what_is_unsent_is_told)
{
    static char bytes[1 << 16];
    int client, fd = accepted(&client);

    assert_true(net_all_sent(fd));
    while (send(fd, bytes, sizeof bytes, 0) > 0)
        continue;
    assert_false(net_all_sent(fd)); // nobody reads
    close(client);
    close(fd);
    assert_false(net_all_sent(fd)); // nobody can tell
}

// How much of its words the kernel has: it told less when it was younger.
static socklen_t told_bytes;

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *length);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (level == IPPROTO_TCP && name == TCP_INFO && told_bytes > 0 && *length > told_bytes)
        *length = told_bytes;
    return __real_getsockopt(fd, level, name, value, length);
}

TEST(what_an_older_kernel_does_not_count_is_nothing)
{
    int client, fd = accepted(&client);

    told_bytes = 104;
    shutdown(client, SHUT_WR);
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1), 1);
    struct net_moved moved = net_moved(fd, true);
    told_bytes = 0;
    assert_int_equal(moved.received, 0);
    assert_int_equal(moved.sent, 0);
    close(client);
    close(fd);
}
