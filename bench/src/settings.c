// SPDX-License-Identifier: MIT
#include "settings.h"

#include <getopt.h>
#include <string.h>

#include "clock.h"
#include "util.h"

struct setting_row {
    const char *name;
    char letter; // the short option, or 0
    bool (*take)(struct settings *settings, const struct setting_row *row, const char *value,
                 struct text *error);
    size_t offset; // of what the value goes to
    uint64_t minimum, maximum;
    const char *argument, *help; // argument is NULL for an option that takes none
};

#define NOT_GIVEN UINT64_MAX

static const struct settings defaults = {
    .connections = 50,
    .depth = 1,
    .size = 64,
    .duration = 5 * NANOSECONDS_PER_SECOND,
    .warmup = NOT_GIVEN,
    .rest = NOT_GIVEN,
    .timeout = 5 * NANOSECONDS_PER_SECOND,
};

static bool parse_number(const struct setting_row *row, const char *value, uint64_t *number,
                         struct text *error)
{
    uint64_t result = 0;
    const char *at = value;

    while (*at >= '0' && *at <= '9' && result <= row->maximum)
        result = result * 10 + (uint64_t)(*at++ - '0');
    if (at == value || *at || result < row->minimum || result > row->maximum) {
        text_format(error, "--%s: '%.64s' is not a number from %llu to %llu", row->name, value,
                    (unsigned long long)row->minimum, (unsigned long long)row->maximum);
        return false;
    }
    *number = result;
    return true;
}

static void *member(struct settings *settings, const struct setting_row *row)
{
    return (char *)settings + row->offset;
}

static bool take_unsigned(struct settings *settings, const struct setting_row *row,
                          const char *value, struct text *error)
{
    uint64_t number;

    if (!parse_number(row, value, &number, error))
        return false;
    *(unsigned *)member(settings, row) = (unsigned)number;
    return true;
}

static bool take_count(struct settings *settings, const struct setting_row *row, const char *value,
                       struct text *error)
{
    return parse_number(row, value, (uint64_t *)member(settings, row), error);
}

static bool take_size(struct settings *settings, const struct setting_row *row, const char *value,
                      struct text *error)
{
    uint64_t number;

    if (!parse_number(row, value, &number, error))
        return false;
    *(size_t *)member(settings, row) = (size_t)number;
    return true;
}

static bool take_pid(struct settings *settings, const struct setting_row *row, const char *value,
                     struct text *error)
{
    uint64_t number;

    if (!parse_number(row, value, &number, error))
        return false;
    settings->pid = (pid_t)number;
    return true;
}

// Seconds as a decimal number: digits, and up to nine more after a point.
static bool take_seconds(struct settings *settings, const struct setting_row *row,
                         const char *value, struct text *error)
{
    uint64_t seconds = 0, unit = NANOSECONDS_PER_SECOND;
    const char *at = value;

    while (*at >= '0' && *at <= '9' && seconds <= row->maximum * NANOSECONDS_PER_SECOND)
        seconds = seconds * 10 + (uint64_t)(*at++ - '0') * NANOSECONDS_PER_SECOND;
    if (at > value && *at == '.')
        for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
            seconds += (uint64_t)(*at - '0') * (unit /= 10);
    if (at == value || *at || seconds > row->maximum * NANOSECONDS_PER_SECOND) {
        text_format(error, "--%s: '%.64s' is not a number of seconds from 0 to %llu", row->name,
                    value, (unsigned long long)row->maximum);
        return false;
    }
    *(uint64_t *)member(settings, row) = seconds;
    return true;
}

static int hex_digit(char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = byte ? strchr(digits, byte | 0x20) : NULL;

    return at ? (int)(at - digits) : -1;
}

// Decodes the escape after a backslash at *AT, and moves *AT behind it. -1 if it is none.
static int take_escape(const char **at)
{
    static const char names[] = "rnt0\\", bytes[] = "\r\n\t\0\\";
    const char *name = **at ? strchr(names, **at) : NULL;

    if (name) {
        (*at)++;
        return bytes[name - names];
    }
    if (**at != 'x' || hex_digit((*at)[1]) < 0 || hex_digit((*at)[2]) < 0)
        return -1;
    int byte = hex_digit((*at)[1]) * 16 + hex_digit((*at)[2]);
    *at += 3;
    return byte;
}

static bool take_request(struct settings *settings, const struct setting_row *row,
                         const char *value, struct text *error)
{
    size_t length = 0;

    for (const char *at = value; *at && length < REQUEST_MAX_BYTES;) {
        int byte = (unsigned char)*at++;

        if (byte == '\\')
            byte = take_escape(&at);
        if (byte < 0) {
            text_format(error, "--%s: '%.64s' has an unknown escape", row->name, value);
            return false;
        }
        settings->request[length++] = (char)byte;
    }
    if (length == 0 || length == REQUEST_MAX_BYTES) {
        text_format(error, "--%s: not from 1 to %d bytes", row->name, REQUEST_MAX_BYTES - 1);
        return false;
    }
    settings->has_request = true;
    settings->size = length;
    return true;
}

static bool take_path(struct settings *settings, const struct setting_row *row, const char *value,
                      struct text *error)
{
    *(const char **)member(settings, row) = value;
    if (*value)
        return true;
    text_format(error, "--%s: the path is empty", row->name);
    return false;
}

static bool take_flag(struct settings *settings, const struct setting_row *row, const char *value,
                      struct text *error)
{
    (void)value, (void)error;
    *(bool *)member(settings, row) = true;
    return true;
}

#define MEMBER(name) offsetof(struct settings, name)

enum { DAY_SECONDS = 86400 };

// One row is all that an option needs: parsing and --help follow from it.
static const struct setting_row rows[] = {
    {"tcp", 0, take_flag, MEMBER(tcp), 0, 0, NULL, "lines over TCP (this)"},
    {"udp", 0, take_flag, MEMBER(udp), 0, 0, NULL, "datagrams over UDP"},
    {"connections", 'c', take_unsigned, MEMBER(connections), 1, 1000000, "N",
     "connections, or UDP sockets (50)"},
    {"depth", 'd', take_unsigned, MEMBER(depth), 1, DEPTH_MAX, "N",
     "messages in flight on each (1)"},
    {"size", 's', take_size, MEMBER(size), 1, SIZE_MAX_BYTES, "BYTES",
     "bytes in a message, its LF included (64)"},
    {"duration", 't', take_seconds, MEMBER(duration), 0, DAY_SECONDS, "S",
     "measure for S seconds (5)"},
    {"messages", 'n', take_count, MEMBER(messages), 1, 1000000000000, "N",
     "measure N messages instead"},
    {"warmup", 'w', take_seconds, MEMBER(warmup), 0, DAY_SECONDS, "S",
     "seconds before that, not counted (0.5; 0 with --messages)"},
    {"rate", 'r', take_unsigned, MEMBER(rate), 1, 100000000, "R",
     "open loop: send R messages a second, in all (closed loop)"},
    {"idle", 0, take_unsigned, MEMBER(idle), 0, 1000000, "N",
     "open N further connections that stay silent (0)"},
    {"churn", 0, take_flag, MEMBER(churn), 0, 0, NULL,
     "a connection for each message: connect, one line, close"},
    {"verify", 0, take_flag, MEMBER(verify), 0, 0, NULL, "compare every byte"},
    {"request", 0, take_request, 0, 0, 0, "STR",
     "send STR (\\r, \\n, \\t, \\0, \\\\, \\xHH), to servers that do not echo"},
    {"reply-bytes", 0, take_size, MEMBER(reply_size), 1, SIZE_MAX_BYTES, "N",
     "bytes of the answer to STR"},
    {"pid", 'p', take_pid, 0, 1, 1 << 22, "PID", "tell what it costs the server, process PID"},
    {"tree", 0, take_flag, MEMBER(tree), 0, 0, NULL, "and its children's children too"},
    {"rest", 0, take_seconds, MEMBER(rest), 0, DAY_SECONDS, "S",
     "count the server's wakeups at rest for S seconds (1 with --pid)"},
    {"timeout", 0, take_seconds, MEMBER(timeout), 0, DAY_SECONDS, "S",
     "how long to wait for a connection or an answer (5)"},
    {"json", 'j', take_flag, MEMBER(json), 0, 0, NULL, "print one JSON object"},
    {"hgrm", 0, take_path, MEMBER(hgrm), 0, 0, "FILE",
     "write the latencies to FILE as HdrHistogram does"},
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

static const struct setting_row *row_of(int value)
{
    if (value >= FIRST_LONG)
        return &rows[value - FIRST_LONG];
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter == value)
            return &rows[i];
    return NULL;
}

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

// Splits HOST:PORT at the last colon; an IPv6 address stands in brackets.
static bool take_server(struct settings *settings, const char *word, struct text *error)
{
    const char *colon = strrchr(word, ':');
    size_t length = colon ? (size_t)(colon - word) : 0;

    if (length >= 2 && word[0] == '[' && word[length - 1] == ']') {
        word++;
        length -= 2;
    } else if (length > 0 && memchr(word, ':', length)) {
        length = 0;
    }
    if (length == 0 || length >= HOST_MAX_BYTES || !colon[1]) {
        text_format(error, "'%.64s' is not HOST:PORT or [ADDRESS]:PORT", word);
        return false;
    }
    memcpy(settings->host, word, length);
    settings->host[length] = '\0';
    settings->port = colon + 1;
    return true;
}

// What does not go together, or does not go alone.
static const char *conflict(const struct settings *s)
{
    if (s->tcp && s->udp)
        return "--tcp and --udp exclude each other";
    if (s->churn && (s->udp || s->rate > 0 || s->depth > 1))
        return "--churn excludes --udp, --rate and --depth";
    if (s->has_request != (s->reply_size > 0))
        return "--request and --reply-bytes go together";
    if (s->has_request && s->verify)
        return "--verify needs an echo, --request is for servers that do not";
    if (s->udp && (s->size > DATAGRAM_MAX_BYTES || s->reply_size > DATAGRAM_MAX_BYTES))
        return "--size: a datagram has at most 65507 bytes";
    if (s->udp && s->idle > 0)
        return "--idle opens TCP connections, it excludes --udp";
    if (s->pid == 0 && (s->tree || s->rest != NOT_GIVEN))
        return "--tree and --rest need --pid";
    if (s->messages == 0 && s->duration == 0)
        return "--duration: nothing can be measured in no time";
    return NULL;
}

static void fill_in(struct settings *settings)
{
    if (settings->warmup == NOT_GIVEN)
        settings->warmup = settings->messages > 0 ? 0 : NANOSECONDS_PER_SECOND / 2;
    if (settings->rest == NOT_GIVEN)
        settings->rest = settings->pid > 0 ? NANOSECONDS_PER_SECOND : 0;
    if (!settings->has_request)
        settings->reply_size = settings->size;
}

static bool take_options(struct settings *settings, int argc, char *argv[], struct text *error)
{
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 2];
    int value;

    fill_getopt(longs, shorts);
    opterr = 0;
    optind = 0; // glibc and musl: begin anew, so that a program may parse more than once
    while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct setting_row *row = row_of(value);

        if (!row)
            return wrong_option(value, argv, error);
        if (!row->take(settings, row, optarg, error))
            return false;
    }
    return true;
}

bool settings_parse(struct settings *settings, int argc, char *argv[], struct text *error)
{
    *settings = defaults;
    if (!take_options(settings, argc, argv, error))
        return false;
    if (settings->help || settings->version)
        return true;
    if (optind != argc - 1) {
        text_string(error, optind == argc ? "HOST:PORT is missing" : "more than one HOST:PORT");
        return false;
    }
    settings->server = argv[optind];
    if (!take_server(settings, argv[optind], error))
        return false;
    const char *wrong = conflict(settings);
    if (wrong) {
        text_string(error, wrong);
        return false;
    }
    fill_in(settings);
    return true;
}

void settings_help(struct text *help)
{
    text_string(help,
                "Usage: echo-bench [OPTION]... HOST:PORT\n"
                "Loads an echo server, and tells how fast it answers and what that costs.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        const struct setting_row *row = &rows[i];
        char name[64];
        struct text text = text_in(name, sizeof name);

        text_format(&text, "--%s%s%s", row->name, row->argument ? "=" : "",
                    row->argument ? row->argument : "");
        if (row->letter)
            text_format(help, "  -%c, ", row->letter);
        else
            text_string(help, "      ");
        text_format(help, "%-21s %s\n", text_end(&text), row->help);
    }
    text_string(help, "\nThe default stands in parentheses. See echo-bench(1).\n");
}
