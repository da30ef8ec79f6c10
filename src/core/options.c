// SPDX-License-Identifier: MIT
#include "core/options.h"

#include <net/if.h>
#include <string.h>

#include "core/argument.h"
#include "ground/util.h"

enum { PORT_DEFAULT = 12345, PORT_NONE = 65536, BACKLOG_DEFAULT = 4096, BACKLOG_NONE = 0 };

static const struct options defaults = {
    .port = PORT_NONE,
    .tcp_port = PORT_NONE,
    .udp_port = PORT_NONE,
    .max_tcp = 1024,
    .max_line = 4096,
    .max_datagram = 65507,
    .line_timeout = 30,
    .drain_timeout = 5,
    .log_level = LOG_INFO,
};

// TEXT is an address, with an interface after a '%' if it is one of IPv6.
static bool read_bind(const char *text, size_t length, struct bind *bind)
{
    char ip[INET6_ADDRSTRLEN + 1] = "";
    const char *percent = memchr(text, '%', length);
    size_t ip_length = percent ? (size_t)(percent - text) : length;

    if (ip_length >= sizeof ip)
        return false;
    memcpy(ip, text, ip_length);
    *bind = (struct bind){.interface = ""};
    if (!address_parse(ip, &bind->address))
        return false;
    if (!percent)
        return true;
    size_t name = length - ip_length - 1;
    if (address_is_v4(&bind->address) || name == 0 || name >= IF_NAMESIZE)
        return false;
    memcpy(bind->interface, percent + 1, name);
    return true;
}

static bool take_bind(const struct argument *argument)
{
    struct options *options = argument->values;

    if (options->bind_count == BINDS_MAX) {
        text_format(argument->error, "--%s: more than %d addresses", argument->row->name,
                    BINDS_MAX);
        return false;
    }
    if (!read_bind(argument->value, strlen(argument->value), &options->bind[options->bind_count])) {
        text_format(argument->error, "--%s: '%.64s' is not an IPv4 or IPv6 address",
                    argument->row->name, argument->value);
        return false;
    }
    options->bind_count++;
    return true;
}

// ADDR: in front of a port, an IPv6 address in brackets. False if it is none.
static bool read_endpoint_address(const char *text, size_t length, struct endpoint *endpoint)
{
    endpoint->bound = length > 0;
    if (!endpoint->bound)
        return true;
    if (text[--length] != ':')
        return false;
    bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    if (!read_bind(text + brackets, length - 2 * brackets, &endpoint->bind))
        return false;
    return brackets != address_is_v4(&endpoint->bind.address);
}

// ROLE:[ADDR:]PORT[/tcp|/udp]. NULL, or what is wrong with it.
static const char *read_endpoint(const char *text, struct endpoint *endpoint)
{
    const char *colon = strchr(text, ':'), *end = text + strcspn(text, "/"), *port = end;
    unsigned number = 0;

    if (!colon || colon == text || colon > end)
        return "names no role";
    *endpoint = (struct endpoint){.role = text, .role_length = (size_t)(colon - text)};
    endpoint->tcp = *end == '\0' || strcmp(end, "/tcp") == 0;
    endpoint->udp = *end == '\0' || strcmp(end, "/udp") == 0;
    if (!endpoint->tcp && !endpoint->udp)
        return "ends neither in /tcp nor in /udp";
    while (port[-1] >= '0' && port[-1] <= '9') // a colon stands before it
        port--;
    for (const char *at = port; at < end && number <= UINT16_MAX; at++)
        number = number * 10 + (unsigned)(*at - '0');
    if (port == end || number > UINT16_MAX)
        return "has no port from 0 to 65535";
    endpoint->port = number;
    if (!read_endpoint_address(colon + 1, (size_t)(port - colon - 1), endpoint))
        return "has no IPv4 address, and no IPv6 address in brackets, before its port";
    return NULL;
}

static bool take_listen(const struct argument *argument)
{
    struct options *options = argument->values;
    const char *problem = "is one too many";

    if (options->endpoint_count < ENDPOINTS_MAX)
        problem = read_endpoint(argument->value, &options->endpoint[options->endpoint_count]);
    if (problem) {
        text_format(argument->error,
                    "--%s: '%.64s' %s: it is ROLE:[ADDR:]PORT[/tcp|/udp], echo:[::1]:7/tcp say",
                    argument->row->name, argument->value, problem);
        return false;
    }
    options->endpoint_count++;
    return true;
}

static bool take_trigger(const struct argument *argument)
{
    struct options *options = argument->values;

    options->edge = strcmp(argument->value, "edge") == 0;
    if (options->edge || strcmp(argument->value, "level") == 0)
        return true;
    text_format(argument->error, "--%s: '%.64s' is neither level nor edge", argument->row->name,
                argument->value);
    return false;
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
    {"port", 'p', argument_unsigned, MEMBER(port), 0, 65535, "N",
     "TCP and UDP port; 0 lets the kernel choose (12345)"},
    {"tcp-port", 0, argument_unsigned, MEMBER(tcp_port), 0, 65535, "N", "TCP port alone"},
    {"udp-port", 0, argument_unsigned, MEMBER(udp_port), 0, 65535, "N", "UDP port alone"},
    {"bind", 0, take_bind, 0, 0, 0, "ADDR",
     "listen on this address only; may be repeated (every address)"},
    {"listen", 0, take_listen, 0, 0, 0, "ROLE:[ADDR:]PORT[/tcp|/udp]",
     "a further port and what it does: echo; may be repeated"},
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
    {"trigger", 0, take_trigger, 0, 0, 0, "level|edge",
     "how connections are registered with epoll (level)"},
    {"socket-buffer", 0, argument_unsigned, MEMBER(socket_buffer), 0, 1 << 30, "N",
     "bytes of kernel buffer each way of a TCP connection; 0 is autotuning (0)"},
    {"shutdown-token-file", 0, argument_path, MEMBER(token_file), 0, 0, "PATH",
     "the file that holds the token for /shutdown"},
    {"verbose", 'v', take_level, 0, 0, 0, NULL, "log more; debug when given twice"},
    {"quiet", 'q', take_level, 0, 0, 0, NULL, "log warnings and errors only"},
    {"help", 'h', argument_last, MEMBER(help), 0, 0, NULL, "print this help"},
    {"version", 'V', argument_last, MEMBER(version), 0, 0, NULL, "print the version"},
};

_Static_assert(ARRAY_LENGTH(rows) <= ARGUMENT_ROWS_MAX, "argument.c has no room for more");

// The defaults that depend on what else was given.
static void settle(struct options *options)
{
    options->one_port = options->tcp_port == PORT_NONE && options->udp_port == PORT_NONE;
    options->sockets_given = options->port != PORT_NONE || !options->one_port ||
                             options->bind_count > 0 || options->endpoint_count > 0 ||
                             options->backlog != BACKLOG_NONE;
    if (options->backlog == BACKLOG_NONE)
        options->backlog = BACKLOG_DEFAULT;
    if (options->port == PORT_NONE)
        options->port = PORT_DEFAULT;
    if (options->tcp_port == PORT_NONE)
        options->tcp_port = options->port;
    if (options->udp_port == PORT_NONE)
        options->udp_port = options->port;
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
    return true;
}

void options_help(struct text *help)
{
    text_string(help, "Usage: epoll-echo [OPTION]...\n"
                      "A TCP and UDP echo server on one thread and one epoll loop.\n\n");
    argument_help(rows, ARRAY_LENGTH(rows), 28, help);
    text_string(help, "\nThe default stands in parentheses. See epoll-echo(8).\n");
}
