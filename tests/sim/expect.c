// SPDX-License-Identifier: MIT
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flow.h"
#include "judge.h"
#include "memory.h"
#include "world.h"

enum { ANSWER_LINE_MAX = 512, SHOWN_MAX = 60, GUESSES_IN_A_MINUTE = 5 };

// What connected_tcp has been, one entry for each change.
static struct {
    unsigned *value;
    size_t count, room;
} counts;

// The latest wrong tokens, the last one first: when they were read, and when told so.
static struct {
    uint64_t read[GUESSES_IN_A_MINUTE], told[GUESSES_IN_A_MINUTE];
} guesses;

void expect_connected(unsigned now)
{
    counts.value = memory_room(counts.value, counts.count, &counts.room, sizeof *counts.value);
    counts.value[counts.count++] = now;
}

void expect_forget(void)
{
    counts.count = 0;
    memset(&guesses, 0, sizeof guesses);
}

struct moment expect_moment(void)
{
    struct moment moment = {.at = world.turn_start, .counts = counts.count};

    judge_totals(&moment.total, &moment.busy);
    judge_refused(&moment.refused, &(uint64_t){0});
    return moment;
}

bool expect_owes(const struct expect *expect)
{
    return expect->first < expect->count;
}

bool expect_waits(const struct expect *expect)
{
    return expect->wait.waits && !expect_owes(expect);
}

bool expect_line_begun(const struct expect *expect)
{
    return !expect->lines.closing && !expect->wait.waits &&
           (expect->lines.begun > 0 || expect->lines.discarding);
}

void expect_begin(struct flow *flow)
{
    size_t max_line = world.server->options.max_line;

    flow->expect.lines =
        (struct lines){.max_line = max_line, .line = memory_own(NULL, max_line + 1)};
}

void expect_finish(struct expect *expect)
{
    memory_own(expect->lines.line, 0);
    fifo_finish(&expect->bytes);
    fifo_finish(&expect->answer);
    fifo_finish(&expect->wait.text);
    fifo_finish(&expect->wait.behind);
    expect->piece = memory_own(expect->piece, 0);
}

static void add(struct expect *expect, struct piece piece)
{
    if (!expect_owes(expect))
        expect->first = expect->count = 0;
    expect->piece = memory_room(expect->piece, expect->count, &expect->room, sizeof *expect->piece);
    expect->piece[expect->count++] = piece;
}

static void add_bytes(struct expect *expect, const char *bytes, size_t length)
{
    struct piece *last = expect_owes(expect) ? &expect->piece[expect->count - 1] : NULL;

    fifo_put(&expect->bytes, bytes, length);
    if (last && last->command == COMMAND_UNKNOWN)
        last->length += length;
    else
        add(expect, (struct piece){.length = length});
}

void expect_text(struct flow *flow, const char *text)
{
    add_bytes(&flow->expect, text, strlen(text));
}

static void add_command(struct flow *flow, const char *line, size_t length)
{
    struct command command = lines_command(line, length);
    struct piece piece = {.command = command.name, .asked = expect_moment()};

    if (command.name == COMMAND_UNKNOWN) {
        expect_text(flow, LINES_UNKNOWN);
        return;
    }
    if (command.name == COMMAND_SHUTDOWN) {
        piece.given = command.length > 0;
        piece.right = command.length == strlen(JUDGE_TOKEN) &&
                      memcmp(command.argument, JUDGE_TOKEN, command.length) == 0;
        world.may_stop |= piece.right && !flow->header && address_is_loopback(&flow->peer) &&
                          (judge_token.there || judge_token.uncertain);
        if (piece.given && !piece.right)
            world_remember(guesses.read, GUESSES_IN_A_MINUTE, world.now);
    }
    add(&flow->expect, piece);
}

static void begin_time(struct wait *wait)
{
    wait->begun = true;
    wait->over_low = world.now + wait->nanoseconds;
    wait->over_high = 0;
}

static void begin_wait(struct expect *expect, uint64_t milliseconds)
{
    struct wait *wait = &expect->wait;

    wait->waits = true;
    wait->begun = false;
    wait->nanoseconds = milliseconds * MILLISECOND;
    if (!expect_owes(expect))
        begin_time(wait);
}

static void add_many(struct expect *expect, uint64_t count)
{
    static const char same[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    for (uint64_t left = count - 1, some; left > 0; left -= some) {
        some = left < sizeof same - 1 ? left : sizeof same - 1;
        add_bytes(expect, same, some);
    }
    add_bytes(expect, "\n", 1);
}

// Whether WISH is one, which FLOW is granted.
static bool grant(struct flow *flow, const struct wish *wish)
{
    struct expect *expect = &flow->expect;
    bool says = wish->kind == WISH_DELAY || wish->kind == WISH_DRIP;

    if (says) {
        fifo_put(&expect->wait.text, wish->text, wish->length);
        fifo_put(&expect->wait.text, "\n", 1);
        expect->wait.drips = wish->kind == WISH_DRIP;
    }
    if (says || wish->kind == WISH_PAUSE)
        begin_wait(expect, wish->number);
    if (wish->kind == WISH_USAGE)
        expect_text(flow, wish->usage);
    if (wish->kind == WISH_BYTES)
        add_many(expect, wish->number);
    expect->resets |= wish->kind == WISH_RESET;
    expect->lines.closing |= wish->kind == WISH_CLOSE || wish->kind == WISH_RESET;
    return wish->kind != WISH_NONE;
}

static void take(struct flow *flow, enum asked asked)
{
    const struct lines *lines = &flow->expect.lines;
    struct wish wish = {.kind = WISH_NONE};

    if (asked == ASKED_COMMAND && flow->role == &role_faulty)
        wish = lines_wish(lines->line, lines->length);
    if (asked == ASKED_ECHO)
        add_bytes(&flow->expect, lines->line, lines->length);
    else if (asked == ASKED_COMMAND && !grant(flow, &wish))
        add_command(flow, lines->line, lines->length);
    else if (asked == ASKED_TOO_LONG)
        expect_text(flow, LINES_TOO_LONG);
}

// What has been read, up to a line that has to be waited for.
static void read_on(struct flow *flow)
{
    struct expect *expect = &flow->expect;
    struct fifo *behind = &expect->wait.behind;
    char byte;

    while (behind->length > 0 && !expect->wait.waits) {
        if (!expect_line_begun(expect)) {
            expect->begun_low = world.turn_start;
            expect->begun_high = world.now;
            expect->begun_turn = world.turn;
        }
        fifo_take(behind, &byte, 1);
        take(flow, lines_read(&expect->lines, byte));
    }
}

void expect_read(struct flow *flow, const char *bytes, size_t length)
{
    struct expect *expect = &flow->expect;

    if (flow->role == &role_raw && length > 0)
        add_bytes(expect, bytes, length);
    if (flow->role == &role_echo || flow->role == &role_faulty)
        fifo_put(&expect->wait.behind, bytes, length);
    read_on(flow);
}

static void say(struct flow *flow, size_t length)
{
    struct expect *expect = &flow->expect;
    struct fifo *text = &expect->wait.text;

    if (length == 0)
        return;
    add_bytes(expect, fifo_first(text), length);
    fifo_take(text, NULL, length);
    if (text->length > 0)
        begin_wait(expect, expect->wait.nanoseconds / MILLISECOND);
}

static void end_wait(struct flow *flow)
{
    struct wait *wait = &flow->expect.wait;

    wait->waits = false;
    say(flow, wait->drips ? size_min(wait->text.length, 1) : wait->text.length);
    read_on(flow);
}

void expect_end_of_input(struct flow *flow)
{
    struct wait *wait = &flow->expect.wait;
    bool again = wait->end; // FIN is told as often as it is asked for

    wait->end = false;
    if (again)
        end_wait(flow);
    else
        take(flow, lines_end(&flow->expect.lines));
    wait->end = wait->waits && (again || wait->behind.length == 0);
}

// At the graceful end all that waits goes on. What has not ended is looked at again when the end of
// the stream is.
bool expect_pass(struct flow *flow)
{
    struct wait *wait = &flow->expect.wait;

    if (!expect_waits(&flow->expect) || (!world.draining && world.now < wait->over_low))
        return false;
    world.progress = true;
    if (wait->end)
        wait->waits = false;
    else
        end_wait(flow);
    return true;
}

void expect_late(struct flow *flow)
{
    expect_text(flow, LINES_LATE);
    flow->expect.lines.begun = 0;
    flow->expect.lines.closing = true;
}

static void bad(const struct facts *facts, const char *what, const char *line)
{
    fail("%s: %s: '%.200s'", ADDRESS_STRING(&facts->peer), what, line);
}

// How /stats and /whoami end.
static const char *name_shown(void)
{
    return world.server->options.name ? " name=" EXPECT_NAME "\n" : "\n";
}

static void check_stats(const struct piece *piece, const struct facts *facts, const char *line)
{
    unsigned long long total, peers, connected, busy, answered, dropped, refused;
    uint64_t total_now, busy_now, refused_least, refused_most;
    int end = 0;

    if (sscanf(line,
               "total_clients=%llu active_udp_peers=%llu connected_tcp=%llu busy_tcp=%llu "
               "udp_answered=%llu udp_dropped=%llu proxy_refused=%llu uptime_s=%*u tcp_lines=%*u "
               "tcp_bytes_in=%*u tcp_bytes_out=%*u version=%*s%n",
               &total, &peers, &connected, &busy, &answered, &dropped, &refused, &end) != 7 ||
        strcmp(line + end, name_shown()) != 0)
        bad(facts, "not an answer to /stats", line);
    judge_totals(&total_now, &busy_now);
    judge_refused(&refused_least, &refused_most);
    if (total < piece->asked.total || total > total_now + udp.peers_maybe ||
        busy < piece->asked.busy || busy > busy_now || refused < piece->asked.refused ||
        refused > refused_most)
        bad(facts, "/stats: totals are wrong", line);
    for (size_t i = piece->asked.counts ? piece->asked.counts - 1 : 0; i < counts.count; i++)
        if (counts.value[i] == connected)
            return;
    if (connected != 0 || piece->asked.counts != 0)
        bad(facts, "/stats: connected_tcp is wrong", line);
}

static void check_time(const struct piece *piece, const struct facts *facts, const char *line)
{
    struct tm utc = {0};
    const char *point = strptime(line, "%Y-%m-%dT%H:%M:%S", &utc);
    char *end = NULL;

    if (strlen(line) != 31 || !point || *point != '.')
        bad(facts, "not an answer to /time", line);
    int64_t told = (int64_t)timegm(&utc) * (int64_t)SECOND + strtol(point + 1, &end, 10);
    if (strcmp(end, "Z\n") != 0)
        bad(facts, "not an answer to /time", line);
    if (world.wall_changed < piece->asked.at &&
        (told < (int64_t)piece->asked.at + world.wall || told > (int64_t)world.now + world.wall))
        bad(facts, "/time tells another time", line);
}

static const char *shutdown_answer(const struct piece *piece, const struct facts *facts)
{
    if (!piece->given)
        return "ERR shutdown-token-required\n";
    if (!judge_token.there)
        return "ERR shutdown-token-missing\n";
    if (!piece->right)
        return "ERR shutdown-token-invalid\n";
    return facts->loopback ? "OK, shutting down\n" : "ERR shutdown-loopback-required\n";
}

// A tick and a turn of doubt: the answers are seen when they are sent, which may be long after they
// were made, and those are made after what they answer was read.
static void check_shutdown(const struct piece *piece, const struct facts *facts, const char *line)
{
    uint64_t read = guesses.read[GUESSES_IN_A_MINUTE - 1];
    uint64_t told = guesses.told[GUESSES_IN_A_MINUTE - 1];
    bool throttled = strcmp(line, "ERR shutdown-throttled\n") == 0;

    if (judge_token.uncertain)
        return;
    if (throttled ? read == 0 || piece->asked.at >= read + 65 * SECOND
                  : strcmp(line, shutdown_answer(piece, facts)) != 0)
        bad(facts, "the wrong answer to /shutdown", line);
    if (!piece->given || !judge_token.there || piece->right || throttled)
        return;
    if (told != 0 && piece->asked.at - told < 55 * SECOND)
        bad(facts, "a sixth wrong token within a minute is looked at", line);
    world_remember(guesses.told, GUESSES_IN_A_MINUTE, piece->asked.at);
}

void expect_line(const struct piece *piece, const struct facts *facts, const char *line,
                 size_t length, const char *told)
{
    char text[ANSWER_LINE_MAX + 1], whoami[ANSWER_LINE_MAX];
    const char *via = facts->via.port ? ADDRESS_STRING(&facts->via) : "";

    memcpy(text, line, length);
    text[length] = '\0';
    snprintf(whoami, sizeof whoami, "proto=%s peer=%s local=%s%s%s%s%s",
             facts->protocol == PROTOCOL_TCP ? "tcp" : "udp", ADDRESS_STRING(&facts->peer),
             ADDRESS_STRING(&facts->local), *via ? " via=" : "", via, told, name_shown());
    if (strlen(text) != length)
        bad(facts, "a NUL in an answer", text);
    if (piece->command == COMMAND_STATS)
        check_stats(piece, facts, text);
    else if (piece->command == COMMAND_TIME)
        check_time(piece, facts, text);
    else if (piece->command == COMMAND_SHUTDOWN)
        check_shutdown(piece, facts, text);
    else if (piece->command == COMMAND_HEALTH
                 ? strcmp(text, "ready up 100%") != 0 && strcmp(text, "drain") != 0
             : piece->command == COMMAND_HELP
                 ? !strstr(text, "/stats") || !strstr(text, "/shutdown")
                 : strcmp(text, whoami) != 0)
        bad(facts, "the wrong answer", text);
}

static void check_answer(struct flow *flow)
{
    struct expect *expect = &flow->expect;
    const struct piece *piece = &expect->piece[expect->first++];
    const struct header *header = flow->header;
    struct facts facts = {.protocol = PROTOCOL_TCP,
                          .peer = flow->peer,
                          .local = flow->local,
                          .loopback = !header && address_is_loopback(&flow->peer)};

    if (header)
        facts.via = flow->peer;
    if (header && header->announced) {
        facts.peer = header->source;
        facts.local = header->destination;
    }
    // Without its name, nobody is known to come from a loopback address either.
    if (!flow->names_failed ||
        (piece->command != COMMAND_WHOAMI && piece->command != COMMAND_SHUTDOWN))
        expect_line(piece, &facts, fifo_first(&expect->answer), expect->answer.length,
                    header && header->announced ? header->told : "");
    fifo_take(&expect->answer, NULL, expect->answer.length);
}

// The number of BYTES that belong to the first piece.
static size_t sent_some(struct flow *flow, const char *bytes, size_t length)
{
    struct expect *expect = &flow->expect;
    struct piece *piece = &expect->piece[expect->first];

    if (piece->command == COMMAND_UNKNOWN) {
        size_t count = size_min(length, piece->length);

        if (memcmp(bytes, fifo_first(&expect->bytes), count) != 0)
            fail("flow %u: wrong bytes are sent, '%.*s' for '%.*s'", flow->number,
                 (int)size_min(count, SHOWN_MAX), bytes, (int)size_min(count, SHOWN_MAX),
                 fifo_first(&expect->bytes));
        fifo_take(&expect->bytes, NULL, count);
        piece->length -= count;
        expect->first += piece->length == 0;
        return count;
    }
    const char *newline = memchr(bytes, '\n', length);
    size_t count = newline ? (size_t)(newline + 1 - bytes) : length;
    fifo_put(&expect->answer, bytes, count);
    if (expect->answer.length > ANSWER_LINE_MAX)
        fail("flow %u: an answer has no end", flow->number);
    if (newline)
        check_answer(flow);
    return count;
}

void expect_sent(struct flow *flow, const char *bytes, size_t length)
{
    while (length > 0) {
        if (!expect_owes(&flow->expect))
            fail("flow %u: %zu bytes are sent that nobody asked for: '%.*s'", flow->number, length,
                 (int)size_min(length, SHOWN_MAX), bytes);
        size_t count = sent_some(flow, bytes, length);

        bytes += count;
        length -= count;
    }
    if (expect_waits(&flow->expect) && !flow->expect.wait.begun)
        begin_time(&flow->expect.wait);
}
