// SPDX-License-Identifier: MIT
#include "listen.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"

enum { PORT_TRIES_MAX = 64 };

static const struct address any_v6 = {.port = 0};
static const struct address any_v4 = {.ip.s6_addr[10] = 0xff, .ip.s6_addr[11] = 0xff};

// What is being opened, and what was tried last: enough to say what failed.
struct attempt {
    struct server *server;
    enum protocol protocol;
    struct address address; // its port, once the kernel has chosen one, holds for further sockets
    const char *call;
};

static int serve(struct server *server, enum protocol protocol, int fd)
{
    return protocol == PROTOCOL_TCP ? tcp_listen(&server->tcp, fd) : udp_serve(&server->udp, fd);
}

static int open_one(struct attempt *attempt, struct address address, enum net_stack stack)
{
    int type = attempt->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;

    address.port = attempt->address.port;
    attempt->address = address;
    int fd = net_open(type, &address, stack, attempt->server->options.backlog, &attempt->call);
    if (fd < 0)
        return -1;
    if (net_local(fd, &address) == 0)
        attempt->address.port = address.port;
    attempt->call = "malloc, setsockopt or epoll_ctl";
    return serve(attempt->server, attempt->protocol, fd);
}

// Every address of the host: by one dual-stack socket; where the system does not allow that, by
// one for each family; where it has no IPv6, by IPv4 alone.
static int open_everywhere(struct attempt *attempt)
{
    if (open_one(attempt, any_v6, NET_DUAL) == 0)
        return 0;
    if (errno == EADDRINUSE || errno == EACCES || net_exhausted(errno))
        return -1;
    if (open_one(attempt, any_v6, NET_ONE_FAMILY) < 0 && errno == EADDRINUSE)
        return -1;
    return open_one(attempt, any_v4, NET_ONE_FAMILY);
}

static int open_bound(struct attempt *attempt, const struct bind *bind)
{
    struct address address = bind->address;

    if (bind->interface) {
        address.port = attempt->address.port;
        attempt->address = address;
        attempt->call = "if_nametoindex";
        address.scope = if_nametoindex(bind->interface);
        if (address.scope == 0)
            address.scope = (uint32_t)strtoul(bind->interface, NULL, 10); // fe80::1%2
        if (address.scope == 0)
            return -1;
    }
    return open_one(attempt, address, NET_ONE_FAMILY);
}

static int open_protocol(struct attempt *attempt, enum protocol protocol, unsigned port)
{
    const struct options *options = &attempt->server->options;

    attempt->protocol = protocol;
    attempt->address.port = (uint16_t)port;
    if (options->bind_count == 0)
        return open_everywhere(attempt);
    for (size_t i = 0; i < options->bind_count; i++)
        if (open_bound(attempt, &options->bind[i]) < 0)
            return -1;
    return 0;
}

// One try with the ports asked for.
static int open_all(struct attempt *attempt)
{
    const struct options *options = &attempt->server->options;

    if (open_protocol(attempt, PROTOCOL_TCP, options->tcp_port) < 0)
        return -1;
    return open_protocol(attempt, PROTOCOL_UDP,
                         options->one_port ? attempt->address.port : options->udp_port);
}

static int open_own(struct server *server)
{
    struct attempt attempt = {.server = server};
    bool kernel_chooses = server->options.tcp_port == 0 || server->options.udp_port == 0;

    // A port that was free for the first socket may be taken for another: choose anew.
    for (int tries = 1; open_all(&attempt) < 0; tries++) {
        if (errno != EADDRINUSE || !kernel_chooses || tries == PORT_TRIES_MAX) {
            log_event(LOG_ERROR, "cannot listen", "proto", protocol_name(attempt.protocol), "addr",
                      ADDRESS_STRING(&attempt.address), "call", attempt.call, "error",
                      strerror(errno), NULL);
            return -1;
        }
        tcp_unlisten(&server->tcp);
        udp_close(&server->udp);
    }
    return 0;
}

static int refused(const char *error)
{
    log_event(LOG_ERROR, "cannot serve the passed sockets", "error", error, NULL);
    return -1;
}

static int adopt_one(struct server *server, enum protocol protocol, int fd)
{
    const char *call;

    if (net_adopt(fd, protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, &call) < 0) {
        close(fd);
        return -1;
    }
    return serve(server, protocol, fd);
}

// Serves the sockets that systemd has opened. They belong to it: a restart finds them as they are.
static int adopt_all(struct server *server)
{
    enum protocol protocol;
    int fd, adopted = 0;

    if (server->options.sockets_given)
        return refused("--port, --tcp-port, --udp-port, --bind and --backlog are for sockets of "
                       "one's own: leave them out, or set them in the socket unit");
    while ((fd = systemd_take(&server->systemd, &protocol)) >= 0) {
        if (adopt_one(server, protocol, fd) < 0)
            return refused(strerror(errno));
        adopted++;
    }
    return adopted > 0 ? 0 : refused("none of them is of use");
}

int listen_open(struct server *server)
{
    bool passed = systemd_activated(&server->systemd);

    if ((passed ? adopt_all(server) : open_own(server)) < 0)
        return -1;
    tcp_announce(&server->tcp);
    udp_announce(&server->udp);
    return 0;
}
