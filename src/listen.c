// SPDX-License-Identifier: MIT
#include "listen.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"

enum { PORT_TRIES_MAX = 64 };

static const struct address any_v6 = {.port = 0};
static const struct address any_v4 = {.ip.s6_addr[10] = 0xff, .ip.s6_addr[11] = 0xff};

// One port to be opened on every address of `bind`, or on every address of the host if there is
// none; and what was tried last, to say what failed.
struct request {
    struct ports *ports;
    const struct role *role;
    const struct bind *bind;
    size_t bind_count;
    unsigned backlog;
    bool tcp, udp;
    bool one_port; // the number that the kernel chooses for TCP holds for UDP too
    unsigned tcp_port, udp_port;
    enum protocol protocol;
    struct address address; // its port, once the kernel has chosen one, holds for further sockets
    const char *call;
};

bool listen_check(const struct options *options, struct text *error)
{
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];
        const struct role *role = role_find(endpoint->role, endpoint->role_length);
        int length = (int)endpoint->role_length;

        if (!role) {
            text_format(error, "--listen: there is no role '%.*s'", length, endpoint->role);
            return false;
        }
        if ((!endpoint->udp && !role->stream) || (!endpoint->tcp && !role->datagram)) {
            text_format(error, "--listen: the role %s is not for %s", role->name,
                        endpoint->tcp ? "TCP" : "UDP");
            return false;
        }
    }
    return true;
}

static int open_one(struct request *request, struct address address, enum net_stack stack)
{
    int type = request->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    struct ports *ports = request->ports;

    address.port = request->address.port;
    request->address = address;
    int fd = net_open(type, &address, stack, request->backlog, &request->call);
    if (fd < 0)
        return -1;
    request->call = "getsockname or setsockopt";
    if (ports_add(ports, request->role, request->protocol, fd, true) < 0)
        return -1;
    request->address.port = ports->port[ports->count - 1].local.port;
    return 0;
}

// Every address of the host: by one dual-stack socket; where the system does not allow that, by
// one for each family; where it has no IPv6, by IPv4 alone.
static int open_everywhere(struct request *request)
{
    if (open_one(request, any_v6, NET_DUAL) == 0)
        return 0;
    if (errno == EADDRINUSE || errno == EACCES || net_exhausted(errno))
        return -1;
    if (open_one(request, any_v6, NET_ONE_FAMILY) < 0 && errno == EADDRINUSE)
        return -1;
    return open_one(request, any_v4, NET_ONE_FAMILY);
}

static int open_bound(struct request *request, const struct bind *bind)
{
    struct address address = bind->address;

    if (*bind->interface) {
        address.port = request->address.port;
        request->address = address;
        request->call = "if_nametoindex";
        address.scope = if_nametoindex(bind->interface);
        if (address.scope == 0)
            address.scope = (uint32_t)strtoul(bind->interface, NULL, 10); // fe80::1%2
        if (address.scope == 0)
            return -1;
    }
    return open_one(request, address, NET_ONE_FAMILY);
}

static int open_protocol(struct request *request, enum protocol protocol, unsigned port)
{
    request->protocol = protocol;
    request->address.port = (uint16_t)port;
    if (request->bind_count == 0)
        return open_everywhere(request);
    for (size_t i = 0; i < request->bind_count; i++)
        if (open_bound(request, &request->bind[i]) < 0)
            return -1;
    return 0;
}

// One try with the ports asked for.
static int open_all(struct request *request)
{
    if (request->tcp && open_protocol(request, PROTOCOL_TCP, request->tcp_port) < 0)
        return -1;
    if (!request->udp)
        return 0;
    return open_protocol(request, PROTOCOL_UDP,
                         request->one_port ? request->address.port : request->udp_port);
}

static int open_request(struct request *request)
{
    bool kernel_chooses = request->tcp_port == 0 || request->udp_port == 0;
    size_t before = request->ports->count;

    // A port that was free for the first socket may be taken for another: choose anew.
    for (int tries = 1; open_all(request) < 0; tries++) {
        if (errno != EADDRINUSE || !kernel_chooses || tries == PORT_TRIES_MAX) {
            log_event(LOG_ERROR, "cannot listen",
                      LOG_TEXT("proto", protocol_name(request->protocol)),
                      LOG_TEXT("addr", ADDRESS_STRING(&request->address)),
                      LOG_TEXT("call", request->call), LOG_TEXT("error", strerror(errno)));
            return -1;
        }
        ports_forget(request->ports, before);
    }
    return 0;
}

static int open_endpoint(struct ports *ports, const struct options *options,
                         const struct endpoint *endpoint)
{
    const struct role *role = role_find(endpoint->role, endpoint->role_length);
    struct request request = {
        .ports = ports,
        .role = role,
        .bind = &endpoint->bind,
        .bind_count = endpoint->bound,
        .backlog = options->backlog,
        .tcp = endpoint->tcp && role->stream,
        .udp = endpoint->udp && role->datagram,
        .tcp_port = endpoint->port,
        .udp_port = endpoint->port,
    };

    request.one_port = request.tcp && request.udp;
    return open_request(&request);
}

static int open_own(struct ports *ports, const struct options *options)
{
    struct request echo = {
        .ports = ports,
        .role = &role_echo,
        .bind = options->bind,
        .bind_count = options->bind_count,
        .backlog = options->backlog,
        .tcp = true,
        .udp = true,
        .one_port = options->one_port,
        .tcp_port = options->tcp_port,
        .udp_port = options->udp_port,
    };

    if (open_request(&echo) < 0)
        return -1;
    for (size_t i = 0; i < options->endpoint_count; i++)
        if (open_endpoint(ports, options, &options->endpoint[i]) < 0)
            return -1;
    return 0;
}

static int refused(const char *error)
{
    log_event(LOG_ERROR, "cannot serve the passed sockets", LOG_TEXT("error", error));
    return -1;
}

static int adopt_one(struct ports *ports, enum protocol protocol, int fd)
{
    const char *call;

    if (net_adopt(fd, protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, &call) < 0) {
        close(fd);
        return -1;
    }
    return ports_add(ports, &role_echo, protocol, fd, false);
}

// Serves the sockets that systemd has opened. They belong to it: a restart finds them as they are.
static int adopt_all(struct ports *ports, const struct options *options, struct passed *passed)
{
    enum protocol protocol;
    int fd;

    if (options->sockets_given)
        return refused("--port, --tcp-port, --udp-port, --bind, --listen and --backlog are for "
                       "sockets of one's own: leave them out, or set them in the socket unit");
    while ((fd = passed_take(passed, &protocol)) >= 0)
        if (adopt_one(ports, protocol, fd) < 0)
            return refused(strerror(errno));
    return ports->count > 0 ? 0 : refused("none of them is of use");
}

int listen_open(struct ports *ports, const struct options *options, struct passed *passed)
{
    return passed->count > 0 ? adopt_all(ports, options, passed) : open_own(ports, options);
}
