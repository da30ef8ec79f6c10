// SPDX-License-Identifier: MIT
#include "listen.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

enum { PORT_TRIES_MAX = 64 };

static const struct address any_v6 = {.port = 0};
static const struct address any_v4 = {.ip.s6_addr[10] = 0xff, .ip.s6_addr[11] = 0xff};

static int failed(enum protocol protocol, const struct address *address, const char *call)
{
    log_event(LOG_ERROR, "cannot listen", "proto", protocol_name(protocol), "addr",
              ADDRESS_STRING(address), "call", call, "error", strerror(errno), NULL);
    return -1;
}

static int serve(struct server *server, enum protocol protocol, int fd, bool own)
{
    return protocol == PROTOCOL_TCP ? tcp_listen(&server->tcp, fd, own)
                                    : udp_serve(&server->udp, fd, own);
}

// Opens a socket on ADDRESS and serves it. *PORT, if 0, becomes the one that the kernel chose.
static int open_one(struct server *server, enum protocol protocol, struct address address,
                    enum net_stack stack, uint16_t *port, const char **call)
{
    int type = protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;

    address.port = *port;
    int fd = net_open(type, &address, stack, server->options.backlog, call);
    if (fd < 0)
        return -1;
    *call = "getsockname";
    if (net_local(fd, &address) == 0)
        *port = address.port;
    *call = "epoll_ctl";
    return serve(server, protocol, fd, true);
}

// Every address of the host: by one dual-stack socket; where the system does not allow that, by
// one for each family; where it has no IPv6, by IPv4 alone.
static int open_everywhere(struct server *server, enum protocol protocol, uint16_t *port,
                           struct address *address, const char **call)
{
    *address = any_v6;
    if (open_one(server, protocol, any_v6, NET_DUAL, port, call) == 0)
        return 0;
    if (errno == EADDRINUSE || errno == EACCES || net_exhausted(errno))
        return -1;
    if (open_one(server, protocol, any_v6, NET_ONE_FAMILY, port, call) < 0 && errno == EADDRINUSE)
        return -1;
    *address = any_v4;
    return open_one(server, protocol, any_v4, NET_ONE_FAMILY, port, call);
}

static int open_bound(struct server *server, enum protocol protocol, const struct bind *bind,
                      uint16_t *port, struct address *address, const char **call)
{
    *address = bind->address;
    if (bind->interface) {
        *call = "if_nametoindex";
        address->scope = if_nametoindex(bind->interface);
        if (address->scope == 0)
            address->scope = (uint32_t)strtoul(bind->interface, NULL, 10); // fe80::1%2
        if (address->scope == 0)
            return -1;
    }
    return open_one(server, protocol, *address, NET_ONE_FAMILY, port, call);
}

static int open_protocol(struct server *server, enum protocol protocol, uint16_t *port,
                         struct address *address, const char **call)
{
    const struct options *options = &server->options;

    if (options->bind_count == 0)
        return open_everywhere(server, protocol, port, address, call);
    for (size_t i = 0; i < options->bind_count; i++)
        if (open_bound(server, protocol, &options->bind[i], port, address, call) < 0)
            return -1;
    return 0;
}

// One try with the ports asked for; the kernel's choice for the first socket holds for the others.
static int open_all(struct server *server, enum protocol *protocol, struct address *address,
                    const char **call)
{
    uint16_t tcp_port = (uint16_t)server->options.tcp_port;
    uint16_t udp_port = (uint16_t)server->options.udp_port;

    *protocol = PROTOCOL_TCP;
    address->port = tcp_port;
    if (open_protocol(server, PROTOCOL_TCP, &tcp_port, address, call) < 0) {
        address->port = tcp_port;
        return -1;
    }
    if (server->options.one_port)
        udp_port = tcp_port;
    *protocol = PROTOCOL_UDP;
    if (open_protocol(server, PROTOCOL_UDP, &udp_port, address, call) < 0) {
        address->port = udp_port;
        return -1;
    }
    return 0;
}

static bool kernel_chooses(const struct options *options)
{
    return options->tcp_port == 0 || options->udp_port == 0;
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
    return serve(server, protocol, fd, false);
}

// Serves the sockets that systemd has opened. They belong to it: a restart finds them as they are.
static int adopt_all(struct server *server)
{
    enum protocol protocol;
    int fd, adopted = 0;

    if (server->options.ports_given)
        return refused("--port, --tcp-port, --udp-port, --bind and --backlog are for sockets of "
                       "one's own: leave them out, or set them in the socket unit");
    while ((fd = systemd_take(&server->systemd, &protocol)) >= 0) {
        if (adopt_one(server, protocol, fd) < 0)
            return refused(strerror(errno));
        adopted++;
    }
    return adopted > 0 ? 0 : refused("none of them is of use");
}

static int open_own(struct server *server)
{
    enum protocol protocol;
    struct address address;
    const char *call;

    // A port that was free for the first socket may be taken for another: choose anew.
    for (int tries = 1; open_all(server, &protocol, &address, &call) < 0; tries++) {
        if (errno != EADDRINUSE || !kernel_chooses(&server->options) || tries == PORT_TRIES_MAX)
            return failed(protocol, &address, call);
        tcp_unlisten(&server->tcp);
        udp_close(&server->udp);
    }
    return 0;
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
