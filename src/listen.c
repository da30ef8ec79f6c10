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

// An endpoint that is being opened, and what was tried last: enough to say what failed.
struct attempt {
    struct ports *ports;
    const struct options *options;
    const struct endpoint *endpoint;
    const struct role *role;
    enum protocol protocol;
    struct address address; // its port, once the kernel has chosen one, holds for further sockets
    const char *call;
};

bool listen_check(const struct options *options, struct text *error)
{
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];
        const struct role *role = role_find(endpoint->role, endpoint->role_length);

        if (!role) {
            text_format(error, "--listen: there is no role '%.*s'", (int)endpoint->role_length,
                        endpoint->role);
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

static int open_one(struct attempt *attempt, struct address address, enum net_stack stack)
{
    int type = attempt->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    struct ports *ports = attempt->ports;

    address.port = attempt->address.port;
    attempt->address = address;
    int fd = net_open(type, &address, stack, attempt->options->backlog, &attempt->call);
    if (fd < 0)
        return -1;
    attempt->call = "getsockname or setsockopt";
    if (ports_add(ports, attempt->role, attempt->protocol, fd, true) < 0)
        return -1;
    attempt->address.port = ports->port[ports->count - 1].local.port;
    return 0;
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

    if (*bind->interface) {
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
    const struct options *options = attempt->options;
    bool bound = false;

    attempt->protocol = protocol;
    attempt->address.port = (uint16_t)port;
    for (size_t i = 0; i < options->bind_count; i++) {
        if (&options->endpoint[options->bind[i].endpoint] != attempt->endpoint)
            continue;
        if (open_bound(attempt, &options->bind[i]) < 0)
            return -1;
        bound = true;
    }
    return bound ? 0 : open_everywhere(attempt);
}

// One try with the ports asked for.
static int open_all(struct attempt *attempt)
{
    const struct endpoint *endpoint = attempt->endpoint;
    bool tcp = endpoint->tcp && attempt->role->stream;

    if (tcp && open_protocol(attempt, PROTOCOL_TCP, endpoint->tcp_port) < 0)
        return -1;
    if (!endpoint->udp || !attempt->role->datagram)
        return 0;
    return open_protocol(attempt, PROTOCOL_UDP,
                         tcp && endpoint->one_port ? attempt->address.port : endpoint->udp_port);
}

static int open_endpoint(struct attempt *attempt)
{
    bool kernel_chooses = attempt->endpoint->tcp_port == 0 || attempt->endpoint->udp_port == 0;
    size_t before = attempt->ports->count;

    // A port that was free for the first socket may be taken for another: choose anew.
    for (int tries = 1; open_all(attempt) < 0; tries++) {
        if (errno != EADDRINUSE || !kernel_chooses || tries == PORT_TRIES_MAX) {
            log_event(LOG_ERROR, "cannot listen",
                      LOG_TEXT("proto", protocol_name(attempt->protocol)),
                      LOG_TEXT("addr", ADDRESS_STRING(&attempt->address)),
                      LOG_TEXT("call", attempt->call), LOG_TEXT("error", strerror(errno)));
            return -1;
        }
        ports_forget(attempt->ports, before);
    }
    return 0;
}

static int open_own(struct ports *ports, const struct options *options)
{
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];
        struct attempt attempt = {.ports = ports,
                                  .options = options,
                                  .endpoint = endpoint,
                                  .role = role_find(endpoint->role, endpoint->role_length)};

        if (open_endpoint(&attempt) < 0)
            return -1;
    }
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
