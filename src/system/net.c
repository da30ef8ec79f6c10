// SPDX-License-Identifier: MIT
#include "system/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "core/number.h"
#include "ground/util.h"

// A vanished client is found out after 120 to 179 seconds of silence: 60 to 119 and 5 * 12.
enum { KEEPALIVE_IDLE_SECONDS = 60, KEEPALIVE_INTERVAL_SECONDS = 12, KEEPALIVE_PROBES = 5 };

struct setting {
    int level, name, value;
};

// A multipath socket has learned them one by one, and does without what its kernel has not.
static int set_all(int fd, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value, sizeof(int)) <
                0 &&
            errno != EOPNOTSUPP)
            return -1;
    return 0;
}

// The same for options that not every kernel or socket has.
static int set_known(int fd, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        // Two numbers: a struct linger; the other options take the first one.
        const int value[2] = {settings[i].value, 0};

        if (setsockopt(fd, settings[i].level, settings[i].name, value, sizeof value) < 0 &&
            errno != ENOPROTOOPT && errno != EOPNOTSUPP)
            return -1;
    }
    return 0;
}

// Accepted sockets inherit these from their listener: no call for each connection.
static int set_stream(int fd)
{
    static const struct setting settings[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_OOBINLINE, 1}, // an urgent byte stands in the stream like any other
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_SECONDS},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
    };

    return set_all(fd, settings, ARRAY_LENGTH(settings));
}

// Each datagram tells the address it was sent to and its hop limit. On an IPv6 socket both
// families' options are wanted: IPv4 datagrams come with IPv4's control messages.
//
// A question of any size has to have an answer, also where nobody tells that a link on the way is
// narrow. By IPv4, routers may cut an answer to pieces, and no forged ICMP message makes the server
// do it. By IPv6, only who sends may: see net_fragment.
static int set_datagram(int fd, int family)
{
    static const struct setting settings[] = {
        {IPPROTO_IP, IP_PKTINFO, 1},
        {IPPROTO_IP, IP_RECVTTL, 1},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1},
    };
    static const struct setting known[] = {
        {SOL_SOCKET, SO_RXQ_OVFL, 1},
        {IPPROTO_UDP, UDP_GRO, 1}, // what has arrived as one message stays one
        {IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1},
    };

    if (set_all(fd, settings, family == AF_INET6 ? 5 : 3) < 0)
        return -1;
    return set_known(fd, known, family == AF_INET6 ? 3 : 2);
}

// What may have been set for a passed socket and changes what the calls of this program mean: a
// queue of errors is reported until it is read; a close waits, or cuts off what is owed; little
// input is not reported; answers are held back, joined, cut, or sent to many; and control messages
// leave no room for those that are asked for. What remains decides where and how packets go, not
// which: it is the administrator's.
static int reset(int fd)
{
    static const struct setting settings[] = {
        {SOL_SOCKET, SO_LINGER, 0},
        {SOL_SOCKET, SO_RCVLOWAT, 1},
        {SOL_SOCKET, SO_PEEK_OFF, -1},
        {SOL_SOCKET, SO_BROADCAST, 0},
        {SOL_SOCKET, SO_TIMESTAMP, 0},
        {SOL_SOCKET, SO_TIMESTAMPING, 0},
        {SOL_SOCKET, SO_WIFI_STATUS, 0},
        {IPPROTO_IP, IP_RECVTOS, 0},
        {IPPROTO_IPV6, IPV6_RECVTCLASS, 0},
        {IPPROTO_TCP, TCP_CORK, 0},
        {IPPROTO_UDP, UDP_CORK, 0},
        {IPPROTO_UDP, UDP_SEGMENT, 0},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT},
        {IPPROTO_IPV6, IPV6_DONTFRAG, 0},
        {IPPROTO_IP, IP_RECVERR, 0}, // last: these empty the queue
        {IPPROTO_IPV6, IPV6_RECVERR, 0},
    };

    return set_known(fd, settings, ARRAY_LENGTH(settings));
}

static int set_up(int fd, int type, int family, const char **call)
{
    *call = "setsockopt";
    return type == SOCK_STREAM ? set_stream(fd) : set_datagram(fd, family);
}

static int set_before_bind(int fd, int type, int family, enum net_stack stack)
{
    const struct setting settings[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1}, // a port whose old connections are in TIME_WAIT
        {IPPROTO_IPV6, IPV6_V6ONLY, stack != NET_DUAL},
    };

    // SO_REUSEADDR on a datagram socket would let another process share its port: not set.
    if (type == SOCK_STREAM && set_all(fd, &settings[0], 1) < 0)
        return -1;
    return family == AF_INET6 ? set_all(fd, &settings[1], 1) : 0;
}

static int open_steps(int fd, int type, const struct address *address, enum net_stack stack,
                      unsigned backlog, const char **call)
{
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    struct sockaddr_storage storage;
    socklen_t length = address_store(address, family, &storage);

    *call = "setsockopt";
    if (set_before_bind(fd, type, family, stack) < 0 || set_up(fd, type, family, call) < 0)
        return -1;
    *call = "bind";
    if (bind(fd, (const struct sockaddr *)&storage, length) < 0)
        return -1;
    *call = "listen";
    return type == SOCK_STREAM ? listen(fd, (int)backlog) : 0;
}

static int close_failed(int fd)
{
    int error = errno;

    close(fd);
    errno = error;
    return -1;
}

int net_open(int type, const struct address *address, enum net_stack stack, unsigned backlog,
             const char **call)
{
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *call = "socket";
    if (fd >= 0 && open_steps(fd, type, address, stack, backlog, call) < 0)
        return close_failed(fd);
    return fd;
}

int net_connect(int type, const struct address *address)
{
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage storage;
    socklen_t length = address_store(address, family, &storage);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&storage, length) < 0 &&
        errno != EINPROGRESS)
        return close_failed(fd);
    return fd;
}

uint32_t net_interface(const char *name)
{
    char room[IF_NAMESIZE];
    uint64_t index = if_nametoindex(name);

    if (index == 0 && (!number_of(name, INT_MAX, &index) || !if_indextoname((unsigned)index, room)))
        return 0;
    return (uint32_t)index;
}

int net_settle(int fd, int type, const char **call)
{
    int family;
    socklen_t length = sizeof family;

    *call = "getsockopt";
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0)
        return -1;
    return set_up(fd, type, family, call) < 0 ? -1 : reset(fd);
}

int net_adopt(int fd, int type, const char **call)
{
    *call = "fcntl";
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return net_settle(fd, type, call);
}

int net_tell_class(int fd)
{
    static const struct setting settings[] = {
        {IPPROTO_IP, IP_RECVTOS, 1},
        {IPPROTO_IPV6, IPV6_RECVTCLASS, 1},
    };

    return set_known(fd, settings, ARRAY_LENGTH(settings));
}

uint32_t net_lost(int fd)
{
    enum { LOST = 8 }; // SK_MEMINFO_DROPS of <linux/sock_diag.h>, which musl does without
    uint32_t info[LOST + 1] = {0};
    socklen_t length = sizeof info;

    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length) < 0 ? 0 : info[LOST];
}

bool net_is_dual(int fd)
{
    int only = 1;
    socklen_t length = sizeof only;

    return getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length) == 0 && only == 0;
}

bool net_serves(int fd, int type, const struct address *local)
{
    int found = 0, listens = 0;
    socklen_t length = sizeof found;
    struct address own = net_local(fd);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &length) == 0 && found == type &&
           (type != SOCK_STREAM ||
            (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens)) &&
           own.port != 0 && address_same(&own, local);
}

void net_fragment(int fd, unsigned bytes)
{
    enum { LEAST = 1280 }; // RFC 8200, 5: no link of IPv6 is narrower
    int mtu = (int)(bytes > 0 && bytes < LEAST ? LEAST : bytes);

    // A failure costs what came in pieces its answer, at worst.
    setsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, sizeof mtu);
}

void net_separate(int fd)
{
    int off = 0;

    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &off, sizeof off); // an older kernel has nothing to undo
}

int net_limit_buffers(int fd, unsigned bytes)
{
    const struct setting settings[] = {
        {SOL_SOCKET, SO_RCVBUF, (int)bytes},
        {SOL_SOCKET, SO_SNDBUF, (int)bytes},
    };

    return set_all(fd, settings, ARRAY_LENGTH(settings));
}

struct address net_local(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;

    if (getsockname(fd, (struct sockaddr *)&storage, &length) < 0)
        return (struct address){.port = 0};
    return address_of(&storage);
}

struct address net_peer(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;

    if (getpeername(fd, (struct sockaddr *)&storage, &length) < 0)
        return (struct address){.port = 0};
    return address_of(&storage);
}

ssize_t net_peek(int fd)
{
    char byte;
    ssize_t got;

    // Asked once more at once: epoll would not report that there is nothing.
    do
        got = recv(fd, &byte, 1, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    return got;
}

bool net_all_sent(int fd)
{
    enum { NOT_SENT = 144 }; // as <linux/tcp.h> has it, from Linux 4.6 on
    struct {
        char others[NOT_SENT];
        uint32_t not_sent;
    } info;
    socklen_t length = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && length == sizeof info &&
           info.not_sent == 0;
}

int net_writable_when_sent(int fd)
{
    static const struct setting setting = {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1};

    return set_all(fd, &setting, 1);
}

uint32_t net_silent_milliseconds(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return UINT32_MAX;
    // What is sent again and again to a client that has vanished does not go anywhere.
    uint32_t sent = info.tcpi_last_data_sent > info.tcpi_last_ack_recv ? info.tcpi_last_data_sent
                                                                       : info.tcpi_last_ack_recv;
    return sent < info.tcpi_last_data_recv ? sent : info.tcpi_last_data_recv;
}

// As <linux/tcp.h> has struct tcp_info; what libcs know of it ends before.
struct net_moved net_moved(int fd, bool ended)
{
    enum { RECEIVED = 128, SENT = 200, SENT_AGAIN = 208 };
    char info[256] = {0};
    socklen_t length = sizeof info;
    uint64_t again;
    struct net_moved moved;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) < 0)
        return (struct net_moved){0, 0};
    memcpy(&moved.received, info + RECEIVED, sizeof moved.received);
    memcpy(&moved.sent, info + SENT, sizeof moved.sent);
    memcpy(&again, info + SENT_AGAIN, sizeof again);
    moved.sent -= again;
    // FIN counts as a byte there. Before Linux 4.1, and under qemu-user, nothing is counted.
    moved.received -= moved.received > 0 && ended && net_peek(fd) == 0;
    return moved;
}

uint32_t net_unheard_milliseconds(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return 0;
    return info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
                                                              : info.tcpi_last_data_recv;
}

void net_vary_keepalive(int fd, unsigned turn)
{
    // 37 and 60 have no common divisor: 60 turns in a row are 60 different seconds.
    int seconds = KEEPALIVE_IDLE_SECONDS + (int)(turn * 37 % KEEPALIVE_IDLE_SECONDS);

    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
}

void net_reset(int fd)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool net_exhausted(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
