// SPDX-License-Identifier: MIT
#include "listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"

enum { PORT_TRIES_MAX = 64, LISTEN_SOCKETS_MAX = 64, ROLE_SHOWN_MAX = 32 };

static const struct address any_v6 = {.port = 0};
static const struct address any_v4 = {.ip.s6_addr[10] = 0xff, .ip.s6_addr[11] = 0xff};

// An endpoint that is being opened, and what was tried last: enough to say what failed.
struct attempt {
    struct ports *ports;
    struct handover *handover;
    const struct options *options;
    const struct endpoint *endpoint;
    struct duty duty;
    enum protocol protocol;
    struct address address; // its port, once the kernel has chosen one, holds for further sockets
    const char *interface;  // NULL: none was named
    const char *call;
};

static struct duty duty_of(const struct endpoint *endpoint)
{
    return duty_find(endpoint->role, endpoint->role_length);
}

static bool wants(const struct endpoint *endpoint, enum protocol protocol)
{
    return (protocol == PROTOCOL_TCP ? endpoint->tcp : endpoint->udp) &&
           duty_is_for(duty_of(endpoint), protocol);
}

// Whether the text for --listen names a duty that there is, for the protocols that it has.
static bool check(const struct endpoint *endpoint, struct text *error)
{
    struct duty duty = duty_of(endpoint);

    if (!duty.role) {
        text_format(error, "--listen: there is no role '%.*s', but there are ",
                    (int)size_min(endpoint->role_length, ROLE_SHOWN_MAX), endpoint->role);
        duty_list(error);
        text_string(error, ", as in raw:7");
    } else if (duty.proxy && !endpoint->tcp) {
        text_format(error,
                    "--listen: a PROXY header is not for UDP: %s+proxy:PORT is for TCP alone",
                    duty.role->name);
    } else if (!wants(endpoint, PROTOCOL_TCP) && !wants(endpoint, PROTOCOL_UDP)) {
        text_format(error, "--listen: the role %s is not for %s: %s:PORT/%s", duty.role->name,
                    endpoint->tcp ? "TCP" : "UDP", duty.role->name, endpoint->tcp ? "udp" : "tcp");
    }
    return error->length == 0;
}

bool listen_check(const struct options *options, struct text *error)
{
    size_t sockets = 0;

    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];

        if (!endpoint->listen)
            continue;
        if (!check(endpoint, error))
            return false;
        sockets += (size_t)wants(endpoint, PROTOCOL_TCP) + wants(endpoint, PROTOCOL_UDP);
    }
    if (sockets > LISTEN_SOCKETS_MAX)
        text_format(error, "--listen: more than %d sockets; a port for TCP and UDP is two of them",
                    LISTEN_SOCKETS_MAX);
    return error->length == 0;
}

static int open_one(struct attempt *attempt, struct address address, enum net_stack stack)
{
    int type = attempt->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM;
    struct ports *ports = attempt->ports;

    address.port = attempt->address.port;
    attempt->address = address;
    int fd = handover_claim(attempt->handover, attempt->duty, attempt->protocol, &address,
                            stack == NET_DUAL);
    if (fd >= 0 && net_settle(fd, type, &attempt->call) < 0)
        log_event(LOG_WARNING, "a socket goes on with the options that it had",
                  LOG_TEXT("call", attempt->call), LOG_TEXT("error", strerror(errno)));
    if (fd < 0)
        fd = net_open(type, &address, stack, attempt->options->backlog, &attempt->call);
    if (fd < 0)
        return -1;
    attempt->call = "getsockname or setsockopt";
    if (ports_add(ports, attempt->duty, attempt->protocol, fd, true) < 0)
        return -1;
    attempt->address.port = ports->port[ports->count - 1].local.port;
    return 0;
}

// Every address of the host: by one dual-stack socket; where the system does not allow that, by
// one for each family; where it has no IPv6, or a policy forbids it, by IPv4 alone.
static int open_everywhere(struct attempt *attempt)
{
    if (open_one(attempt, any_v6, NET_DUAL) == 0)
        return 0;
    bool forbidden = errno == EACCES && strcmp(attempt->call, "socket") != 0; // the port, not IPv6
    if (errno == EADDRINUSE || forbidden || net_exhausted(errno))
        return -1;
    if (open_one(attempt, any_v6, NET_ONE_FAMILY) < 0 && errno == EADDRINUSE)
        return -1;
    return open_one(attempt, any_v4, NET_ONE_FAMILY);
}

static int open_bound(struct attempt *attempt, const struct bind *bind)
{
    struct address address = bind->address;

    attempt->interface = *bind->interface ? bind->interface : NULL;
    if (attempt->interface) {
        address.port = attempt->address.port;
        attempt->address = address;
        attempt->call = "if_nametoindex";
        address.scope = net_interface(bind->interface);
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

static unsigned port_of(const struct endpoint *endpoint, enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? endpoint->tcp_port : endpoint->udp_port;
}

// One try with the ports asked for. If it is to be one for both, what the kernel chooses for the
// FIRST protocol holds for the other.
static int open_all(struct attempt *attempt, enum protocol first)
{
    const struct endpoint *endpoint = attempt->endpoint;
    enum protocol second = first == PROTOCOL_TCP ? PROTOCOL_UDP : PROTOCOL_TCP;

    if (wants(endpoint, first) && open_protocol(attempt, first, port_of(endpoint, first)) < 0)
        return -1;
    if (!wants(endpoint, second))
        return 0;
    bool one_port = endpoint->one_port && wants(endpoint, first);
    return open_protocol(attempt, second,
                         one_port ? attempt->address.port : port_of(endpoint, second));
}

// What the operator can do about it; NULL where the error says all.
static const char *remedy(const struct attempt *attempt, int error)
{
    bool tcp = attempt->protocol == PROTOCOL_TCP, at_socket = strcmp(attempt->call, "socket") == 0;

    switch (error) {
    case EACCES:
    case EPERM:
        return at_socket
                   ? "a policy forbids such sockets: RestrictAddressFamilies=, seccomp, SELinux"
                   : "ports below 1024 (sysctl net.ipv4.ip_unprivileged_port_start) need "
                     "CAP_NET_BIND_SERVICE: setcap cap_net_bind_service=ep, or a socket unit";
    case EADDRINUSE:
        return tcp ? "the port is asked for twice, or ss -ltnp shows who has it: take another"
                   : "the port is asked for twice, or ss -lunp shows who has it: take another";
    case EADDRNOTAVAIL:
        return "no interface of this host has the address: ip address shows which they have";
    case ENODEV:
    case ENXIO:
        return "there is no such interface: ip link shows their names and numbers";
    case EINVAL:
        if (IN6_IS_ADDR_LINKLOCAL(&attempt->address.ip) && !attempt->interface)
            return "a link-local address needs its interface, as fe80::1%eth0";
        return NULL;
    case EAFNOSUPPORT:
        return "this system has no IPv6: --bind=0.0.0.0 is every IPv4 address";
    case EMFILE:
        return "raise the limit for descriptors: ulimit -n, LimitNOFILE=";
    default:
        return NULL;
    }
}

static int open_endpoint(struct attempt *attempt)
{
    bool kernel_chooses = attempt->endpoint->tcp_port == 0 || attempt->endpoint->udp_port == 0;
    size_t before = attempt->ports->count;

    // A port that was free for the first socket may be taken for another: choose anew. Both
    // protocols have their turn to choose, for the kernel gives TCP odd ports as long as it can.
    for (int tries = 1; open_all(attempt, tries % 2 ? PROTOCOL_TCP : PROTOCOL_UDP) < 0; tries++) {
        if (errno != EADDRINUSE || !kernel_chooses || tries == PORT_TRIES_MAX) {
            log_event(
                LOG_ERROR, "cannot listen", LOG_TEXT("proto", protocol_name(attempt->protocol)),
                LOG_TEXT("addr", ADDRESS_STRING(&attempt->address)),
                LOG_TEXT("interface", attempt->interface), LOG_TEXT("call", attempt->call),
                LOG_TEXT("error", strerror(errno)), LOG_TEXT("remedy", remedy(attempt, errno)));
            return -1;
        }
        ports_forget(attempt->ports, before);
    }
    return 0;
}

static int open_own(struct ports *ports, const struct options *options, struct handover *handover)
{
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];
        struct attempt attempt = {.ports = ports,
                                  .handover = handover,
                                  .options = options,
                                  .endpoint = endpoint,
                                  .duty = duty_of(endpoint)};

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

// NAME is that of the socket: a duty's, or any other, which is the role echo's. One that is not for
// PROTOCOL is left out.
static int adopt_one(struct ports *ports, const char *name, enum protocol protocol, int fd)
{
    struct duty duty = duty_find(name, strlen(name));
    const char *call;

    if (!duty.role)
        duty = (struct duty){.role = &role_echo};
    if (!duty_is_for(duty, protocol)) {
        passed_refuse(fd, name,
                      protocol == PROTOCOL_TCP ? "its name is that of a role which is not for TCP"
                                               : "its name is that of a role which is not for UDP");
        return 0;
    }
    if (net_adopt(fd, protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, &call) < 0) {
        close(fd);
        return -1;
    }
    return ports_add(ports, duty, protocol, fd, false);
}

// Serves the sockets that systemd has opened. They belong to it: a restart finds them as they are.
static int adopt_all(struct ports *ports, const struct options *options, struct passed *passed)
{
    enum protocol protocol;
    const char *name;
    int fd;

    if (options->sockets_given)
        return refused("--port, --tcp-port, --udp-port, --bind, --listen and --backlog are for "
                       "sockets of one's own: leave them out, or set them in the socket unit");
    while ((fd = passed_take(passed, &protocol, &name)) >= 0)
        if (adopt_one(ports, name, protocol, fd) < 0)
            return refused(strerror(errno));
    return ports->count > 0 ? 0 : refused("none of them is of use");
}

// Those that were passed to the process in whose place this one is.
static int adopt_again(struct ports *ports, struct handover *handover)
{
    struct state_port port;
    int fd;

    while ((fd = handover_next_passed(handover, &port)) >= 0)
        if (adopt_one(ports, port.name, port.protocol, fd) < 0)
            return refused(strerror(errno));
    return 0;
}

int listen_open(struct ports *ports, const struct options *options, struct passed *passed,
                struct handover *handover)
{
    bool flight = passed->flight >= 0;

    if (passed->count > (flight ? 1 : 0))
        return adopt_all(ports, options, passed);
    if (adopt_again(ports, handover) < 0)
        return -1;
    return ports->count > 0 ? 0 : open_own(ports, options, handover);
}
