// SPDX-License-Identifier: MIT
#include "core/answer.h"

#include <inttypes.h>
#include <string.h>

#include "ground/util.h"

// A command that has been asked for. The argument is what follows its name, from the first byte
// that is not white space.
struct question {
    const char *argument;
    size_t length;
    const struct facts *facts;
    struct gate *gate;
    struct text *answer;
};

static void answer_stats(const struct question *question)
{
    const struct counters *counters = &question->facts->counters;

    text_format(question->answer,
                "total_clients=%" PRIu64 " active_udp_peers=%" PRIu32 " connected_tcp=%" PRIu32
                " busy_tcp=%" PRIu64 " udp_answered=%" PRIu64 " udp_dropped=%" PRIu64 "\n",
                counters->total_clients, counters->active_udp_peers, counters->connected_tcp,
                counters->busy_tcp, counters->udp_answered, counters->udp_dropped);
}

static void answer_time(const struct question *question)
{
    text_time(question->answer, question->facts->time, 9);
    text_string(question->answer, "\n");
}

static void answer_whoami(const struct question *question)
{
    const struct facts *facts = question->facts;

    text_format(question->answer, "proto=%s peer=%s local=%s\n", protocol_name(facts->protocol),
                ADDRESS_STRING(&facts->peer), ADDRESS_STRING(&facts->local));
}

static void answer_shutdown(const struct question *question)
{
    static const char *const line[] = {
        [GATE_PASSED] = "OK, shutting down\n",
        [GATE_TOKEN_REQUIRED] = "ERR shutdown-token-required\n",
        [GATE_TOKEN_MISSING] = "ERR shutdown-token-missing\n",
        [GATE_THROTTLED] = "ERR shutdown-throttled\n",
        [GATE_TOKEN_INVALID] = "ERR shutdown-token-invalid\n",
        [GATE_LOOPBACK_REQUIRED] = "ERR shutdown-loopback-required\n",
    };
    const struct facts *facts = question->facts;

    if (facts->protocol == PROTOCOL_UDP)
        text_string(question->answer, "ERR shutdown-not-allowed\n");
    else
        text_string(question->answer,
                    line[gate_knock(question->gate, question->argument, question->length,
                                    address_is_loopback(&facts->peer), facts->now)]);
}

static void answer_help(const struct question *question)
{
    text_string(question->answer, "/stats /time /whoami /help /shutdown TOKEN\n");
}

static const struct {
    const char *name;
    void (*verb)(const struct question *question);
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

void answer_command(const char *message, size_t length, const struct facts *facts,
                    struct gate *gate, struct text *answer)
{
    size_t name = 0, argument;

    while (message[length - 1] == '\n' || message[length - 1] == '\r') // but not the '/' in front
        length--;
    while (name < length && !white(message[name]))
        name++;
    for (argument = name; argument < length && white(message[argument]); argument++)
        continue;
    struct question question = {message + argument, length - argument, facts, gate, answer};

    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (strlen(commands[i].name) == name && memcmp(commands[i].name, message, name) == 0) {
            commands[i].verb(&question);
            return;
        }
    }
    text_string(answer, "ERR unknown-command\n");
}
