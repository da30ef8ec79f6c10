// SPDX-License-Identifier: MIT
#include "options.h"

#include <getopt.h>
#include <net/if.h>
#include <string.h>

#include "util.h"

// An option that has been found on the command line.
struct found {
    struct options *options;
    const struct option_row *row;
    const char *value; // NULL for an option that takes none
    struct text *error;
};

struct option_row {
    const char *name;
    char letter; // the short option, or 0
    bool (*take)(const struct found *found);
    size_t offset; // of what a number goes to
    unsigned minimum, maximum;
    const char *argument, *help; // argument is NULL for an option that takes none
};

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

static bool take_number(const struct found *found)
{
    unsigned long number = 0;
    const char *at = found->value;

    while (*at >= '0' && *at <= '9' && number <= found->row->maximum)
        number = number * 10 + (unsigned long)(*at++ - '0');
    if (at == found->value || *at || number < found->row->minimum || number > found->row->maximum) {
        text_format(found->error, "--%s: '%.64s' is not a number from %u to %u", found->row->name,
                    found->value, found->row->minimum, found->row->maximum);
        return false;
    }
    *(unsigned *)(void *)((char *)found->options + found->row->offset) = (unsigned)number;
    return true;
}

static bool take_bind(const struct found *found)
{
    char ip[INET6_ADDRSTRLEN + 1] = "";
    size_t length = strcspn(found->value, "%");
    struct bind *bind = &found->options->bind[found->options->bind_count];

    if (found->options->bind_count == BINDS_MAX) {
        text_format(found->error, "--%s: more than %d addresses", found->row->name, BINDS_MAX);
        return false;
    }
    memcpy(ip, found->value, size_min(length, sizeof ip - 1));
    bind->interface = found->value[length] ? found->value + length + 1 : NULL;
    if (length >= sizeof ip || !address_parse(ip, &bind->address) ||
        (bind->interface && (address_is_v4(&bind->address) || !*bind->interface ||
                             strlen(bind->interface) >= IF_NAMESIZE))) {
        text_format(found->error, "--%s: '%.64s' is not an IPv4 or IPv6 address", found->row->name,
                    found->value);
        return false;
    }
    found->options->bind_count++;
    return true;
}

static bool take_trigger(const struct found *found)
{
    found->options->edge = strcmp(found->value, "edge") == 0;
    if (found->options->edge || strcmp(found->value, "level") == 0)
        return true;
    text_format(found->error, "--%s: '%.64s' is neither level nor edge", found->row->name,
                found->value);
    return false;
}

static bool take_token_file(const struct found *found)
{
    found->options->token_file = found->value;
    if (*found->value)
        return true;
    text_format(found->error, "--%s: the path is empty", found->row->name);
    return false;
}

static bool take_level(const struct found *found)
{
    if (found->row->letter == 'v' && found->options->log_level < LOG_DEBUG)
        found->options->log_level++;
    if (found->row->letter == 'q' && found->options->log_level > LOG_ERROR)
        found->options->log_level--;
    return true;
}

static bool take_flag(const struct found *found)
{
    *((bool *)found->options + found->row->offset) = true;
    return true;
}

#define MEMBER(name) offsetof(struct options, name)

// One row is all that an option needs: parsing and --help follow from it.
static const struct option_row rows[] = {
    {"port", 'p', take_number, MEMBER(port), 0, 65535, "N",
     "TCP and UDP port; 0 lets the kernel choose (12345)"},
    {"tcp-port", 0, take_number, MEMBER(tcp_port), 0, 65535, "N", "TCP port alone"},
    {"udp-port", 0, take_number, MEMBER(udp_port), 0, 65535, "N", "UDP port alone"},
    {"bind", 0, take_bind, 0, 0, 0, "ADDR",
     "listen on this address only; may be repeated (every address)"},
    {"max-tcp", 0, take_number, MEMBER(max_tcp), 1, 1000000, "N",
     "TCP connections served at once (1024)"},
    {"backlog", 0, take_number, MEMBER(backlog), 1, 65535, "N",
     "connections that may wait to be accepted (4096)"},
    {"max-line", 0, take_number, MEMBER(max_line), 1, MAX_LINE_LIMIT, "N",
     "bytes in a line, its LF not counted (4096)"},
    {"max-datagram", 0, take_number, MEMBER(max_datagram), 1, MAX_DATAGRAM_LIMIT, "N",
     "bytes in a datagram (65507)"},
    {"idle-timeout", 0, take_number, MEMBER(idle_timeout), 0, 86400 * 365, "S",
     "close after S seconds without a byte; 0 is never (0)"},
    {"line-timeout", 0, take_number, MEMBER(line_timeout), 0, 86400 * 365, "S",
     "close when a line has not ended after S seconds; 0 is never (30)"},
    {"drain-timeout", 0, take_number, MEMBER(drain_timeout), 0, 86400, "S",
     "how long a graceful end may take, in seconds (5)"},
    {"trigger", 0, take_trigger, 0, 0, 0, "level|edge",
     "how connections are registered with epoll (level)"},
    {"socket-buffer", 0, take_number, MEMBER(socket_buffer), 0, 1 << 30, "N",
     "bytes of kernel buffer each way of a TCP connection; 0 is autotuning (0)"},
    {"shutdown-token-file", 0, take_token_file, 0, 0, 0, "PATH",
     "the file that holds the token for /shutdown"},
    {"verbose", 'v', take_level, 0, 0, 0, NULL, "log more; debug when given twice"},
    {"quiet", 'q', take_level, 0, 0, 0, NULL, "log warnings and errors only"},
    {"help", 'h', take_flag, MEMBER(help), 0, 0, NULL, "print this help"},
    {"version", 'V', take_flag, MEMBER(version), 0, 0, NULL, "print the version"},
};

enum { ROWS = ARRAY_LENGTH(rows), FIRST_LONG = 256 };

static void fill_getopt(struct option longs[ROWS + 1], char shorts[2 * ROWS + 2])
{
    size_t at = 0;

    shorts[at++] = ':'; // report a missing argument as ':', and print nothing
    for (size_t i = 0; i < ROWS; i++) {
        longs[i] = (struct option){
            .name = rows[i].name, .has_arg = rows[i].argument != NULL, .val = FIRST_LONG + (int)i};
        if (rows[i].letter)
            shorts[at++] = rows[i].letter;
        if (rows[i].letter && rows[i].argument)
            shorts[at++] = ':';
    }
    shorts[at] = '\0';
    longs[ROWS] = (struct option){0};
}

static const struct option_row *row_of(int value)
{
    if (value >= FIRST_LONG)
        return &rows[value - FIRST_LONG];
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter == value)
            return &rows[i];
    return NULL;
}

// getopt(3) tells an unknown or ambiguous option, an argument too many and one too few alike.
static bool wrong_option(int answer, char *argv[], struct text *error)
{
    const char *word = optind > 0 ? argv[optind - 1] : "";

    if (answer == ':')
        text_format(error, "'%.64s' needs a value", word);
    else if (optopt >= FIRST_LONG)
        text_format(error, "--%s takes no value", rows[optopt - FIRST_LONG].name);
    else if (optopt > 0)
        text_format(error, "unknown option '-%c'", optopt);
    else
        text_format(error, "unknown or ambiguous option '%.64s'", word);
    return false;
}

// The defaults that depend on what else was given.
static void settle(struct options *options)
{
    options->one_port = options->tcp_port == PORT_NONE && options->udp_port == PORT_NONE;
    options->sockets_given = options->port != PORT_NONE || !options->one_port ||
                             options->bind_count > 0 || options->backlog != BACKLOG_NONE;
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
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2];
    int value;

    *options = defaults;
    fill_getopt(longs, shorts);
    opterr = 0;
    optind = 0; // glibc and musl: begin anew, so that a program may parse more than once
    while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_row *row = row_of(value);

        if (!row)
            return wrong_option(value, argv, error);
        if (!row->take(&(struct found){options, row, optarg, error}))
            return false;
        if (options->help || options->version)
            return true; // whatever else there is
    }
    if (optind < argc) {
        text_format(error, "'%.64s' is not an option", argv[optind]);
        return false;
    }
    settle(options);
    return true;
}

void options_help(struct text *help)
{
    text_string(help, "Usage: epoll-echo [OPTION]...\n"
                      "A TCP and UDP echo server on one thread and one epoll loop.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        const struct option_row *row = &rows[i];
        char name[64];
        struct text text = text_in(name, sizeof name);

        text_format(&text, "--%s%s%s", row->name, row->argument ? "=" : "",
                    row->argument ? row->argument : "");
        if (row->letter)
            text_format(help, "  -%c, ", row->letter);
        else
            text_string(help, "      ");
        text_format(help, "%-28s %s\n", text_end(&text), row->help);
    }
    text_string(help, "\nThe default stands in parentheses. See epoll-echo(8).\n");
}
