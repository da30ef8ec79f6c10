// SPDX-License-Identifier: MIT
#include "core/options.h"

#include <net/if.h>
#include <string.h>

#include "core/argument.h"
#include "core/number.h"
#include "ground/util.h"

enum { PORT_DEFAULT = 12345, PORT_NONE = 65536, BACKLOG_DEFAULT = 4096, BACKLOG_NONE = 0 };

static const struct options defaults = {
    .endpoint_count = 1,
    .port = PORT_NONE,
    .tcp_port = PORT_NONE,
    .udp_port = PORT_NONE,
    .max_tcp = 1024,
    .max_line = 4096,
    .max_datagram = 65507,
    .line_timeout = 30,
    .drain_timeout = 5,
    .log_rate = LOG_RATE,
    .log_level = LOG_INFO,
};

static const char not_address[] = "is not an IPv4 or IPv6 address";
static const char no_address[] =
    "has no address before its port, as echo:192.0.2.1:7 or echo:[::1]:7";

// Reads the address TEXT, one of IPv6 with its INTERFACE after a '%' perhaps, which is all zeros
// before. NULL, or what is wrong with it.
static const char *read_address(const char *text, size_t length, struct address *address,
                                char interface[IF_NAMESIZE])
{
    char ip[INET6_ADDRSTRLEN + 1] = "";
    const char *percent = memchr(text, '%', length);
    size_t ip_length = percent ? (size_t)(percent - text) : length;
    const char *name = text + ip_length + (percent != NULL);
    size_t name_length = (size_t)(text + length - name);

    if (ip_length >= sizeof ip || name_length >= IF_NAMESIZE)
        return not_address;
    memcpy(ip, text, ip_length);
    memcpy(interface, name, name_length);
    if (!address_parse(ip, address) || (percent && (name_length == 0 || address_is_v4(address))))
        return not_address;
    return address_is_group(address)
               ? "is a multicast or broadcast address, and no host's, as 192.0.2.1 and ::1 are"
               : NULL;
}

// The same for one in front of ":PORT": an IPv6 address stands in brackets.
static const char *read_host(const char *text, size_t length, struct address *address,
                             char interface[IF_NAMESIZE])
{
    bool brackets = text[0] == '[' && text[length - 1] == ']';

    if (brackets != (memchr(text, ':', length) != NULL))
        return not_address;
    return read_address(text + brackets, length - 2 * brackets, address, interface);
}

static bool refuse(const struct argument *argument, const char *problem)
{
    text_format(argument->error, "--%s: '%.64s' %s", argument->row->name, argument->value, problem);
    return false;
}

static bool take_bind(const struct argument *argument)
{
    struct options *options = argument->values;

    if (options->bind_count == BINDS_MAX) {
        text_format(argument->error, "--bind: more than %d addresses", BINDS_MAX);
        return false;
    }
    struct bind *bind = &options->bind[options->bind_count++];
    const char *problem =
        read_address(argument->value, strlen(argument->value), &bind->address, bind->interface);
    return !problem || refuse(argument, problem);
}

// ADDR: in front of a port, an IPv6 address in brackets. NULL, or what is wrong with it.
static const char *add_listen_address(struct options *options, const char *text, size_t length)
{
    if (options->bind_count == BINDS_MAX)
        return "is one address too many: 64 are the most";
    struct bind *bind = &options->bind[options->bind_count++];
    bind->endpoint = options->endpoint_count;
    const char *problem = read_host(text, length, &bind->address, bind->interface);
    return problem == not_address ? no_address : problem;
}

// ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp]
static bool take_listen(const struct argument *argument)
{
    struct options *options = argument->values;
    const char *text = argument->value, *colon = strchr(text, ':');
    const char *end = text + strcspn(text, "/");
    uint64_t number;

    if (options->endpoint_count == ENDPOINTS_MAX)
        return refuse(argument, "is one port too many: 64 are the most");
    if (!colon || colon == text || colon > end)
        return refuse(argument,
                      "names no role: ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp], as raw:[::1]:7");
    if (*end && strcmp(end, "/tcp") != 0 && strcmp(end, "/udp") != 0)
        return refuse(argument, "ends neither in /tcp nor in /udp, as echo:7/tcp does");
    const char *last = memrchr(colon, ':', (size_t)(end - colon));
    if (!number_parse(last + 1, (size_t)(end - last - 1), UINT16_MAX, &number))
        return refuse(argument, "has no port from 0 to 65535, as echo:7 has");
    const char *problem =
        last > colon ? add_listen_address(options, colon + 1, (size_t)(last - colon - 1)) : NULL;
    if (problem)
        return refuse(argument, problem);
    options->endpoint[options->endpoint_count++] =
        (struct endpoint){.role = text,
                          .role_length = (size_t)(colon - text),
                          .tcp_port = (unsigned)number,
                          .udp_port = (unsigned)number,
                          .tcp = strcmp(end, "/udp") != 0,
                          .udp = strcmp(end, "/tcp") != 0,
                          .one_port = *end == '\0',
                          .listen = true};
    return true;
}

// HOST: no name is looked up but one, for that would need files which an image may lack, and wait
// for servers.
static const char *read_probe_host(struct probe *probe, const char *host, size_t length)
{
    static const char localhost[] = "localhost";

    if (length == sizeof localhost - 1 && memcmp(host, localhost, length) == 0) {
        probe->address = address_of_v4((struct in_addr){htonl(INADDR_LOOPBACK)});
        return NULL;
    }
    const char *problem = read_host(host, length, &probe->address, probe->interface);
    if (problem == not_address)
        return "names no host: 127.0.0.1:7, [::1]:7 or localhost:7; other names are not looked up";
    if (IN6_IS_ADDR_LINKLOCAL(&probe->address.ip) && !*probe->interface)
        return "is link-local and needs its interface, as [fe80::1%eth0]:7";
    return problem;
}

// HOST:PORT[/udp]
static bool take_probe(const struct argument *argument)
{
    struct probe *probe = argument_member(argument);
    const char *text = argument->value, *end = text + strcspn(text, "/");
    const char *colon = memrchr(text, ':', (size_t)(end - text));
    uint64_t port;

    *probe = (struct probe){.text = text, .udp = *end};
    if (*end && strcmp(end, "/udp") != 0)
        return refuse(argument, "ends neither in its port nor in /udp, as [::1]:7/udp does");
    if (!colon || !number_parse(colon + 1, (size_t)(end - colon - 1), UINT16_MAX, &port) ||
        port == 0)
        return refuse(argument, "has no port from 1 to 65535, as 127.0.0.1:7 has");
    const char *problem = read_probe_host(probe, text, (size_t)(colon - text));
    probe->address.port = (uint16_t)port;
    return !problem || refuse(argument, problem);
}

static bool take_trigger(const struct argument *argument)
{
    struct options *options = argument->values;

    options->edge = strcmp(argument->value, "edge") == 0;
    if (options->edge || strcmp(argument->value, "level") == 0)
        return true;
    return refuse(argument, "is neither level nor edge");
}

static bool take_port(const struct argument *argument)
{
    struct options *options = argument->values;

    options->no_port = strcmp(argument->value, "none") == 0;
    return options->no_port || argument_unsigned(argument);
}

static bool take_dscp(const struct argument *argument)
{
    struct options *options = argument->values;

    options->dscp_reflect = strcmp(argument->value, "reflect") == 0;
    return options->dscp_reflect || strcmp(argument->value, "0") == 0 ||
           refuse(argument, "is neither reflect nor 0");
}

static bool take_name(const struct argument *argument)
{
    size_t length = strlen(argument->value);

    for (const char *at = argument->value; *at; at++)
        if (*at <= ' ' || *at > '~')
            return refuse(argument,
                          "has a blank or what is not printable ASCII, as echo-1 has not");
    if (length < argument->row->minimum || length > argument->row->maximum)
        return refuse(argument, "has not 1 to 255 characters");
    return argument_path(argument);
}

static bool take_level(const struct argument *argument)
{
    struct options *options = argument->values;

    if (argument->row->letter == 'v' && options->log_level < LOG_DEBUG)
        options->log_level++;
    if (argument->row->letter == 'q' && options->log_level > LOG_ERROR)
        options->log_level--;
    return true;
}

#define MEMBER(name) offsetof(struct options, name)

static const struct argument_row rows[] = {
    {"port", 'p', take_port, MEMBER(port), 0, 65535, "N|none",
     "TCP and UDP port; 0 lets the kernel choose, none opens none (12345)"},
    {"tcp-port", 0, argument_unsigned, MEMBER(tcp_port), 0, 65535, "N", "TCP port alone"},
    {"udp-port", 0, argument_unsigned, MEMBER(udp_port), 0, 65535, "N", "UDP port alone"},
    {"bind", 0, take_bind, 0, 0, 0, "ADDR",
     "listen on this address only; may be repeated (every address)"},
    {"listen", 0, take_listen, 0, 0, 0, "ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp]",
     "further port: echo, raw, discard, http, faulty; repeatable"},
    {"max-tcp", 0, argument_unsigned, MEMBER(max_tcp), 1, 1000000, "N",
     "TCP connections served at once (1024)"},
    {"backlog", 0, argument_unsigned, MEMBER(backlog), 1, 65535, "N",
     "connections that may wait to be accepted (4096)"},
    {"max-line", 0, argument_unsigned, MEMBER(max_line), 1, MAX_LINE_LIMIT, "N",
     "bytes in a line, its LF not counted (4096)"},
    {"max-datagram", 0, argument_unsigned, MEMBER(max_datagram), 1, MAX_DATAGRAM_LIMIT, "N",
     "bytes in a datagram (65507)"},
    {"idle-timeout", 0, argument_unsigned, MEMBER(idle_timeout), 0, 86400 * 365, "S",
     "close after S seconds without a byte; 0 is never (0)"},
    {"line-timeout", 0, argument_unsigned, MEMBER(line_timeout), 0, 86400 * 365, "S",
     "close when a line has not ended after S seconds; 0 is never (30)"},
    {"drain-timeout", 0, argument_unsigned, MEMBER(drain_timeout), 0, 86400, "S",
     "how long a graceful end may take, in seconds (5)"},
    {"drain-delay", 0, argument_unsigned, MEMBER(drain_delay), 0, 86400, "S",
     "before it, serve as before and tell who asks, for S seconds (0)"},
    {"trigger", 0, take_trigger, 0, 0, 0, "level|edge",
     "how connections are registered with epoll (level)"},
    {"socket-buffer", 0, argument_unsigned, MEMBER(socket_buffer), 0, 1 << 30, "N",
     "bytes of kernel buffer each way of a TCP connection; 0 is autotuning (0)"},
    {"dscp", 0, take_dscp, 0, 0, 0, "0|reflect",
     "DSCP of an answer by UDP: none, or its question's (0)"},
    {"name", 0, take_name, MEMBER(name), 1, 255, "TEXT",
     "what /whoami and /stats call this server (no name)"},
    {"shutdown-token-file", 0, argument_path, MEMBER(token_file), 0, 0, "PATH",
     "the file that holds the token for /shutdown"},
    {"log-rate", 0, argument_unsigned, MEMBER(log_rate), 0, 1000000, "N",
     "log lines a second that clients can cause; 0 is all of them (20)"},
    {"probe", 0, take_probe, MEMBER(probe), 0, 0, "HOST:PORT[/udp]",
     "ask a server for an echo, and exit: 0, 3 where it is busy, else 1"},
    {"user", 0, argument_path, MEMBER(user), 0, 0, "NAME|UID[:GID]",
     "become this user once all is open (stay the same)"},
    {"no-sandbox", 0, argument_flag, MEMBER(no_sandbox), 0, 0, NULL,
     "keep system calls, files and tracers, for debugging"},
    {"verbose", 'v', take_level, 0, 0, 0, NULL, "log more; debug when given twice"},
    {"quiet", 'q', take_level, 0, 0, 0, NULL, "log warnings and errors only"},
    {"help", 'h', argument_last, MEMBER(help), 0, 0, NULL, "print this help"},
    {"version", 'V', argument_last, MEMBER(version), 0, 0, NULL, "print the version"},
};

_Static_assert(ARRAY_LENGTH(rows) <= ARGUMENT_ROWS_MAX, "argument.c has no room for more");

// The echo port, by --port and its like: the first endpoint, unless --port=none leaves nothing of
// it.
static void settle_port(struct options *options)
{
    bool tcp = options->tcp_port != PORT_NONE || !options->no_port;
    bool udp = options->udp_port != PORT_NONE || !options->no_port;
    bool one_port = options->tcp_port == PORT_NONE && options->udp_port == PORT_NONE;

    if (options->port == PORT_NONE)
        options->port = PORT_DEFAULT;
    if (options->tcp_port == PORT_NONE)
        options->tcp_port = options->port;
    if (options->udp_port == PORT_NONE)
        options->udp_port = options->port;
    options->endpoint[0] = (struct endpoint){"echo", 4,   options->tcp_port, options->udp_port,
                                             tcp,    udp, one_port,          false};
}

// The defaults that depend on what else was given.
static void settle(struct options *options)
{
    options->sockets_given = options->port != PORT_NONE || options->no_port ||
                             options->tcp_port != PORT_NONE || options->udp_port != PORT_NONE ||
                             options->bind_count > 0 || options->endpoint_count > 1 ||
                             options->backlog != BACKLOG_NONE;
    if (options->backlog == BACKLOG_NONE)
        options->backlog = BACKLOG_DEFAULT;
    settle_port(options);
}

// Whether the options go together. ALONE: there is but one.
static bool check(const struct options *options, bool alone, struct text *error)
{
    bool echo = options->endpoint[0].tcp || options->endpoint[0].udp;

    if (options->probe.text && !alone) {
        text_string(error, "--probe is given alone: it starts no server, and asks one in one way");
        return false;
    }
    for (size_t i = 0; i < options->bind_count && !echo; i++)
        if (options->bind[i].endpoint == 0) {
            text_string(error, "--bind is for the echo port, and --port=none opens none: "
                               "--listen=ROLE:ADDR:PORT has an address of its own");
            return false;
        }
    if (echo || options->endpoint_count > 1)
        return true;
    text_string(error, "--port=none leaves no port: open one by --listen=raw:7 for instance");
    return false;
}

bool options_parse(struct options *options, int argc, char *argv[], struct text *error)
{
    *options = defaults;
    int end = argument_read(rows, ARRAY_LENGTH(rows), options, argc, argv, error);
    if (end < 0)
        return false;
    if (end < argc) {
        text_format(error, "'%.64s' is not an option", argv[end]);
        return false;
    }
    settle(options);
    bool alone = argc == 2 || (argc == 3 && argv[2] == options->probe.text);
    return options->help || options->version || check(options, alone, error);
}

void options_help(struct text *help)
{
    text_string(help, "Usage: epoll-echo [OPTION]...\n"
                      "A TCP and UDP echo server on one thread and one epoll loop.\n\n");
    argument_help(rows, ARRAY_LENGTH(rows), 28, help);
    text_string(help, "\nThe default stands in parentheses. See epoll-echo(8).\n");
}
