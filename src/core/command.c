// SPDX-License-Identifier: MIT
#include "core/command.h"

#include <inttypes.h>
#include <string.h>

#include "ground/util.h"

// A command that has been asked for. The argument is what follows its name, from the first byte
// that is not white space.
struct question {
    const char *argument;
    size_t length;
    const struct facts *facts;
    struct text *answer;
};

struct command {
    const char *name, *argument; // as /help shows them; argument is NULL for a command without
    bool constant;               // the same is answered to all who ask in one turn
    void (*verb)(const struct question *question);
};

// Ends an answer with the name that the operator has given the server, if any.
static void add_name(const struct question *question)
{
    if (question->facts->name) {
        text_string(question->answer, " name=");
        text_string(question->answer, question->facts->name);
    }
    text_string(question->answer, "\n");
}

// A text that came in a PROXY header, if it did.
static void add_told(struct text *answer, const char *key, const char *bytes, size_t length)
{
    if (length == 0)
        return;
    text_string(answer, key);
    text_bytes(answer, bytes, length);
}

static void add_number(struct text *answer, const char *key, uint64_t number)
{
    text_format(answer, "%s%s=%" PRIu64, answer->length > 0 ? " " : "", key, number);
}

static void answer_stats(const struct question *question)
{
    const struct facts *facts = question->facts;
    const struct counters *counters = &facts->counters;
    struct text *text = question->answer;

    add_number(text, "total_clients", counters->total_clients);
    add_number(text, "active_udp_peers", counters->active_udp_peers);
    add_number(text, "connected_tcp", counters->connected_tcp);
    add_number(text, "busy_tcp", counters->busy_tcp);
    add_number(text, "udp_answered", counters->udp_answered);
    add_number(text, "udp_dropped", counters_dropped(counters));
    add_number(text, "proxy_refused", counters->proxy_refused);
    add_number(text, "uptime_s", facts->uptime_seconds);
    add_number(text, "tcp_lines", counters->messages[PROTOCOL_TCP]);
    add_number(text, "tcp_bytes_in", counters->received[PROTOCOL_TCP]);
    add_number(text, "tcp_bytes_out", counters->sent[PROTOCOL_TCP]);
    text_string(text, " version=" VERSION);
    add_name(question);
}

static void answer_time(const struct question *question)
{
    text_time(question->answer, question->facts->time, 9);
    text_string(question->answer, "\n");
}

static void answer_whoami(const struct question *question)
{
    const struct facts *facts = question->facts;

    text_format(question->answer, "proto=%s peer=%s local=%s", protocol_name(facts->protocol),
                ADDRESS_STRING(&facts->peer), ADDRESS_STRING(&facts->local));
    if (facts->via.port > 0)
        text_format(question->answer, " via=%s", ADDRESS_STRING(&facts->via));
    add_told(question->answer, " authority=", facts->authority, facts->authority_length);
    add_told(question->answer, " tls=", facts->tls, facts->tls_length);
    add_name(question);
}

// As HAProxy's agent-check has it: all of the state each time, for an agent alone takes back what
// it has said.
static void answer_health(const struct question *question)
{
    text_string(question->answer, question->facts->draining ? "drain\n" : "ready up 100%\n");
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
                    line[gate_knock(facts->gate, question->argument, question->length,
                                    facts->loopback, facts->now)]);
}

static void answer_help(const struct question *question);

static const struct command commands[] = {
    {.name = "/stats", .constant = true, .verb = answer_stats},
    {.name = "/time", .constant = true, .verb = answer_time},
    {.name = "/whoami", .constant = true, .verb = answer_whoami},
    {.name = "/health", .constant = true, .verb = answer_health},
    {.name = "/help", .constant = true, .verb = answer_help},
    {.name = "/shutdown", .argument = "TOKEN", .verb = answer_shutdown},
};

_Static_assert(ARRAY_LENGTH(commands) <= COUNTED_FAULTS, "each has a place to be counted");
_Static_assert(ARRAY_LENGTH(commands) <= TURN_TOLD_MAX, "a reply remembers where each was told");

void command_help(struct text *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        text_format(text, "%s%s%s%s", i == 0 ? "" : " ", commands[i].name,
                    commands[i].argument ? " " : "",
                    commands[i].argument ? commands[i].argument : "");
}

static void answer_help(const struct question *question)
{
    command_help(question->answer);
    text_string(question->answer, "\n");
}

const char *command_name(size_t number)
{
    return number < ARRAY_LENGTH(commands) ? commands[number].name + 1 : NULL;
}

static bool white(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static const struct command *find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strlen(commands[i].name) == length && memcmp(commands[i].name, name, length) == 0)
            return &commands[i];
    return NULL;
}

// Making a text costs more than all else that is done for a message: for many that ask for the
// same, it is made once.
static void answer(const struct command *command, const struct question *question,
                   struct reply *reply)
{
    size_t number = (size_t)(command - commands);
    uint32_t length = reply->told[number].length;

    if (length > 0) {
        text_bytes(question->answer, reply->buffer + reply->told[number].at, length);
        return;
    }
    command->verb(question);
    if (command->constant) {
        reply->told[number].at = (uint32_t)(question->answer->bytes - reply->buffer);
        reply->told[number].length = (uint32_t)question->answer->length;
    }
}

void command_answer(const char *message, size_t length, const struct facts *facts,
                    struct reply *reply)
{
    struct text text = reply_text(reply);
    size_t name = 0, argument;

    while (message[length - 1] == '\n' || message[length - 1] == '\r') // but not the '/' in front
        length--;
    while (name < length && !white(message[name]))
        name++;
    for (argument = name; argument < length && white(message[argument]); argument++)
        continue;
    struct question question = {message + argument, length - argument, facts, &text};
    const struct command *command = find(message, name);

    reply->asked[command ? command - commands : COUNTED_UNKNOWN]++;
    if (command)
        answer(command, &question, reply);
    else
        text_string(&text, "ERR unknown-command\n");
    reply_add(reply, &text);
}
