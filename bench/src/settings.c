// SPDX-License-Identifier: MIT
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "core/argument.h"
#include "ground/util.h"
#include "train.h"

#define NOT_GIVEN UINT64_MAX

// The least is ENGINE_TICK_NANOSECONDS, of which nothing is known here; so many fill a picture.
enum { INTERVAL_NANOSECONDS = 250000000, INTERVALS = 200 };

static const struct settings defaults = {
    .connections = 50,
    .depth = 1,
    .size = 64,
    .duration = NOT_GIVEN,
    .warmup = NOT_GIVEN,
    .rest = NOT_GIVEN,
    .timeout = 5 * NANOSECONDS_PER_SECOND,
    .interval = NOT_GIVEN,
    .repeat = 1,
};

// Reads TEXT, a decimal number such as 12, .5 or 1e6, as so many times 10 to the -DECIMALS. False
// if it is none, no whole number of these, or more than MOST.
static bool read_number(const char *text, int decimals, uint64_t most, uint64_t *number)
{
    const char *at = text;
    bool point = false;
    long exponent = 0;

    for (*number = 0; *number <= most; at++) {
        if (*at >= '0' && *at <= '9')
            *number = *number * 10 + (uint64_t)(*at - '0');
        else if (*at != '.' || point)
            break;
        decimals -= point;
        point = point || *at == '.';
    }
    if (at - text == point) // no digit
        return false;
    if ((*at == 'e' || *at == 'E') && strchr("+0123456789", at[1]) && at[1])
        exponent = strtol(at + 1, (char **)&at, 10);
    exponent = exponent < 99 ? exponent : 99;
    for (exponent += decimals; exponent < 0 && *number % 10 == 0 && *number > 0; exponent++)
        *number /= 10;
    for (; exponent > 0 && *number > 0 && *number <= most; exponent--)
        *number *= 10;
    return !*at && (exponent >= 0 || *number == 0) && *number <= most;
}

static bool take_number(const struct argument *argument, int decimals, uint64_t unit,
                        uint64_t *number)
{
    const struct argument_row *row = argument->row;

    if (read_number(argument->value, decimals, row->maximum * unit, number) &&
        *number >= row->minimum * unit)
        return true;
    text_format(argument->error, "--%s: '%.64s' is not a number%s from %llu to %llu", row->name,
                argument->value, unit > 1 ? " of seconds" : "", (unsigned long long)row->minimum,
                (unsigned long long)row->maximum);
    return false;
}

static bool take_count(const struct argument *argument)
{
    return take_number(argument, 0, 1, argument_member(argument));
}

static bool take_seconds(const struct argument *argument)
{
    return take_number(argument, 9, NANOSECONDS_PER_SECOND, argument_member(argument));
}

static bool take_unsigned(const struct argument *argument)
{
    uint64_t number;

    if (!take_number(argument, 0, 1, &number))
        return false;
    *(unsigned *)argument_member(argument) = (unsigned)number;
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

static bool take_request(const struct argument *argument)
{
    struct settings *settings = argument->values;
    size_t length = 0;

    for (const char *at = argument->value; *at && length < REQUEST_MAX_BYTES;) {
        int byte = (unsigned char)*at++;

        if (byte == '\\')
            byte = take_escape(&at);
        if (byte < 0) {
            text_format(argument->error, "--%s: '%.64s' has an unknown escape", argument->row->name,
                        argument->value);
            return false;
        }
        settings->request[length++] = (char)byte;
    }
    if (length == 0 || length == REQUEST_MAX_BYTES) {
        text_format(argument->error, "--%s: not from 1 to %d bytes", argument->row->name,
                    REQUEST_MAX_BYTES - 1);
        return false;
    }
    settings->has_request = true;
    settings->size = (unsigned)length;
    return true;
}

static bool take_expect(const struct argument *argument)
{
    return expect_read(argument_member(argument), argument->value, argument->error);
}

#define MEMBER(name) offsetof(struct settings, name)

enum { DAY_SECONDS = 86400 };

static const struct argument_row rows[] = {
    {"tcp", 0, argument_flag, MEMBER(tcp), 0, 0, NULL, "lines over TCP (this)"},
    {"udp", 0, argument_flag, MEMBER(udp), 0, 0, NULL, "datagrams over UDP"},
    {"gso", 0, argument_flag, MEMBER(gso), 0, 0, NULL,
     "datagrams in trains of up to 64, of which each is one call"},
    {"connections", 'c', take_unsigned, MEMBER(connections), 1, 1000000, "N",
     "connections, or UDP sockets (50)"},
    {"depth", 'd', take_unsigned, MEMBER(depth), 1, DEPTH_MAX, "N",
     "messages in flight on each (1)"},
    {"size", 's', take_unsigned, MEMBER(size), 1, SIZE_MAX_BYTES, "BYTES",
     "bytes in a message, its LF included (64)"},
    {"duration", 't', take_seconds, MEMBER(duration), 0, DAY_SECONDS, "S",
     "measure for S seconds (5)"},
    {"messages", 'n', take_count, MEMBER(messages), 1, 1000000000000, "N",
     "measure N messages; with --duration too, what ends first"},
    {"warmup", 'w', take_seconds, MEMBER(warmup), 0, DAY_SECONDS, "S",
     "seconds before that, not counted (0.5; 0 with --messages)"},
    {"rate", 'r', take_unsigned, MEMBER(rate), 1, 100000000, "R",
     "open loop: send R messages a second, in all (closed loop)"},
    {"idle", 0, take_unsigned, MEMBER(idle), 0, 1000000, "N",
     "open N further connections that stay silent (0)"},
    {"churn", 0, argument_flag, MEMBER(churn), 0, 0, NULL,
     "a connection for each message: connect, one line, close"},
    {"verify", 0, argument_flag, MEMBER(verify), 0, 0, NULL, "compare every byte"},
    {"request", 0, take_request, 0, 0, 0, "STR",
     "send STR (\\r, \\n, \\t, \\0, \\\\, \\xHH), to servers that do not echo"},
    {"reply-bytes", 0, take_unsigned, MEMBER(reply_size), 1, SIZE_MAX_BYTES, "N",
     "bytes of the answer to STR"},
    {"pid", 'p', take_unsigned, MEMBER(pid), 1, 1 << 22, "PID",
     "tell what it costs the server, process PID"},
    {"rest", 0, take_seconds, MEMBER(rest), 0, DAY_SECONDS, "S",
     "count the server's wakeups at rest for S seconds (1 with --pid)"},
    {"timeout", 0, take_seconds, MEMBER(timeout), 0, DAY_SECONDS, "S",
     "how long to wait for a connection or an answer (5)"},
    {"interval", 0, take_seconds, MEMBER(interval), 0, DAY_SECONDS, "S",
     "a line every S seconds, 0.25 at least"},
    {"turns", 0, argument_flag, MEMBER(turns), 0, 0, NULL,
     "measure for --duration at each line of standard input"},
    {"repeat", 0, take_unsigned, MEMBER(repeat), 1, 100, "N",
     "N runs: median, spread and confidence of each figure (1)"},
    {"expect", 0, take_expect, MEMBER(expect), 0, 0, "LIST",
     "fail unless LIST holds, such as p99<2ms,errors=0"},
    {"json", 'j', argument_flag, MEMBER(json), 0, 0, NULL, "print one JSON object"},
    {"hgrm", 0, argument_path, MEMBER(hgrm), 0, 0, "FILE",
     "write the latencies to FILE as HdrHistogram does"},
    {"help", 'h', argument_last, MEMBER(help), 0, 0, NULL, "print this help"},
    {"version", 'V', argument_last, MEMBER(version), 0, 0, NULL, "print the version"},
};

_Static_assert(ARRAY_LENGTH(rows) <= ARGUMENT_ROWS_MAX, "argument.c has no room for more");

// A service's name, which has a letter, or a number that is a port's: getaddrinfo(3) takes others
// modulo 65,536.
static bool is_port(const char *port)
{
    unsigned long number = 0;

    for (const char *at = port; *at; at++)
        if ((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z')
            return true;
    if (strspn(port, "0123456789") == strlen(port))
        number = strtoul(port, NULL, 10);
    return number >= 1 && number <= UINT16_MAX;
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
    if (!is_port(colon + 1)) {
        text_format(error, "'%.64s' is not a port: a number from 1 to 65535, or a name", colon + 1);
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
    if (s->gso && (!s->udp || s->depth < 2 || train_most(s->size) < 2))
        return "--gso needs --udp, a --depth of 2 at least, and a --size of 32753 at most: a train "
               "is two datagrams and more";
    if (s->udp && s->idle > 0)
        return "--idle opens TCP connections, it excludes --udp";
    if (s->pid == 0 && s->rest != NOT_GIVEN)
        return "--rest needs --pid";
    if (s->duration == 0)
        return "--duration: nothing can be measured in no time";
    if (s->interval < INTERVAL_NANOSECONDS)
        return "--interval: 0.25 seconds at least";
    if (s->hgrm && s->repeat > 1)
        return "--hgrm is about one run, it excludes --repeat";
    if (s->turns && s->repeat > 1)
        return "--turns is about one run, it excludes --repeat";
    if (s->timeout == 0)
        return "--timeout: nothing is answered in no time";
    return NULL;
}

static void fill_in(struct settings *settings)
{
    if (settings->duration == NOT_GIVEN)
        settings->duration = settings->messages > 0 ? 0 : 5 * NANOSECONDS_PER_SECOND;
    if (settings->warmup == NOT_GIVEN)
        settings->warmup = settings->messages > 0 ? 0 : NANOSECONDS_PER_SECOND / 2;
    if (settings->rest == NOT_GIVEN)
        settings->rest = settings->pid > 0 ? NANOSECONDS_PER_SECOND : 0;
    settings->lines = settings->interval != NOT_GIVEN && !settings->json;
    if (settings->interval == NOT_GIVEN && settings->duration == 0)
        settings->interval = NANOSECONDS_PER_SECOND; // nobody knows how many there will be
    else if (settings->interval == NOT_GIVEN)
        settings->interval =
            INTERVAL_NANOSECONDS *
            (1 + settings->duration / (INTERVALS * (uint64_t)INTERVAL_NANOSECONDS));
    if (!settings->has_request)
        settings->reply_size = settings->size;
}

bool settings_parse(struct settings *settings, int argc, char *argv[], struct text *error)
{
    *settings = defaults;
    int end = argument_read(rows, ARRAY_LENGTH(rows), settings, argc, argv, error);
    if (end < 0)
        return false;
    if (settings->help || settings->version)
        return true;
    if (end != argc - 1) {
        text_string(error, end == argc ? "HOST:PORT is missing" : "more than one HOST:PORT");
        return false;
    }
    settings->server = argv[end];
    if (!take_server(settings, argv[end], error))
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
    argument_help(rows, ARRAY_LENGTH(rows), 21, help);
    text_string(help, "\nThe default stands in parentheses. See echo-bench(1).\n");
}
