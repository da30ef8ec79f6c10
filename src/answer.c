// SPDX-License-Identifier: MIT
#include "answer.h"

#include <inttypes.h>
#include <string.h>

#include "util.h"

// What follows a command's name, from the first byte that is not white space.
struct argument {
    const char *bytes;
    size_t length;
};

typedef void answer_verb(struct argument argument, const struct facts *facts, struct gate *gate,
                         struct text *answer);

static void answer_stats(struct argument argument, const struct facts *facts, struct gate *gate,
                         struct text *answer)
{
    const struct counters *counters = &facts->counters;

    (void)argument, (void)gate;
    text_format(answer, "total_clients=%" PRIu64 " active_udp_peers=%" PRIu32,
                counters->total_clients, counters->active_udp_peers);
    text_format(answer, " connected_tcp=%" PRIu32 " busy_tcp=%" PRIu64, counters->connected_tcp,
                counters->busy_tcp);
    text_format(answer, " udp_answered=%" PRIu64 " udp_dropped=%" PRIu64 "\n",
                counters->udp_answered, counters->udp_dropped);
}

static void answer_time(struct argument argument, const struct facts *facts, struct gate *gate,
                        struct text *answer)
{
    (void)argument, (void)gate;
    text_time(answer, facts->time, 9);
    text_string(answer, "\n");
}

static void answer_whoami(struct argument argument, const struct facts *facts, struct gate *gate,
                          struct text *answer)
{
    (void)argument, (void)gate;
    text_format(answer, "proto=%s peer=", protocol_name(facts->protocol));
    address_format(&facts->peer, answer);
    text_string(answer, " local=");
    address_format(&facts->local, answer);
    text_string(answer, "\n");
}

static void answer_shutdown(struct argument argument, const struct facts *facts, struct gate *gate,
                            struct text *answer)
{
    static const char *const line[] = {
        [GATE_PASSED] = "OK, shutting down\n",
        [GATE_TOKEN_REQUIRED] = "ERR shutdown-token-required\n",
        [GATE_TOKEN_MISSING] = "ERR shutdown-token-missing\n",
        [GATE_THROTTLED] = "ERR shutdown-throttled\n",
        [GATE_TOKEN_INVALID] = "ERR shutdown-token-invalid\n",
        [GATE_LOOPBACK_REQUIRED] = "ERR shutdown-loopback-required\n",
    };

    if (facts->protocol == PROTOCOL_UDP)
        text_string(answer, "ERR shutdown-not-allowed\n");
    else
        text_string(answer, line[gate_knock(gate, argument.bytes, argument.length,
                                            address_is_loopback(&facts->peer), facts->now)]);
}

static void answer_help(struct argument argument, const struct facts *facts, struct gate *gate,
                        struct text *answer)
{
    (void)argument, (void)facts, (void)gate;
    text_string(answer, "/stats /time /whoami /help /shutdown TOKEN\n");
}

static const struct {
    const char *name;
    answer_verb *verb;
} commands[] = {
    {"/stats", answer_stats}, {"/time", answer_time},         {"/whoami", answer_whoami},
    {"/help", answer_help},   {"/shutdown", answer_shutdown},
};

const char *protocol_name(enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? "tcp" : "udp";
}

static bool white(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static size_t name_length(const char *message, size_t length)
{
    size_t at = 0;

    while (at < length && !white(message[at]))
        at++;
    return at;
}

static struct argument argument_after(const char *message, size_t length, size_t name)
{
    while (name < length && white(message[name]))
        name++;
    return (struct argument){message + name, length - name};
}

void answer_command(const char *message, size_t length, const struct facts *facts,
                    struct gate *gate, struct text *answer)
{
    while (length > 0 && (message[length - 1] == '\n' || message[length - 1] == '\r'))
        length--;
    size_t name = name_length(message, length);

    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (strlen(commands[i].name) == name && memcmp(commands[i].name, message, name) == 0) {
            commands[i].verb(argument_after(message, length, name), facts, gate, answer);
            return;
        }
    }
    text_string(answer, "ERR unknown-command\n");
}
