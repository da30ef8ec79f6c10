// SPDX-License-Identifier: MIT
#include "expect.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "flow.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "world.h"

enum { ANSWER_LINE_MAX = 256 };

// What connected_tcp has been, one entry for each change.
static struct {
    unsigned *value;
    size_t count, room;
} counts;

void expect_connected(unsigned now)
{
    if (counts.count == counts.room) {
        counts.room = counts.room ? 2 * counts.room : 64;
        counts.value = memory_own(counts.value, counts.room * sizeof *counts.value);
    }
    counts.value[counts.count++] = now;
}

void expect_forget(void)
{
    counts.count = 0;
}

size_t expect_counts(void)
{
    return counts.count;
}

bool expect_owes(const struct expect *expect)
{
    return expect->first < expect->count;
}

bool expect_line_begun(const struct expect *expect)
{
    return !expect->closing && (expect->line.length > 0 || expect->discarding);
}

void expect_finish(struct expect *expect)
{
    fifo_finish(&expect->line);
    fifo_finish(&expect->bytes);
    fifo_finish(&expect->answer);
    expect->piece = memory_own(expect->piece, 0);
}

static void add(struct expect *expect, struct piece piece)
{
    if (expect->first == expect->count)
        expect->first = expect->count = 0;
    if (expect->count == expect->room) {
        expect->room = expect->room ? 2 * expect->room : 16;
        expect->piece = memory_own(expect->piece, expect->room * sizeof *expect->piece);
    }
    expect->piece[expect->count++] = piece;
}

static void add_bytes(struct expect *expect, const char *bytes, size_t length)
{
    struct piece *last = expect_owes(expect) ? &expect->piece[expect->count - 1] : NULL;

    fifo_put(&expect->bytes, bytes, length);
    if (last && last->kind == PIECE_BYTES)
        last->length += length;
    else
        add(expect, (struct piece){.kind = PIECE_BYTES, .length = length});
}

void expect_text(struct flow *flow, const char *text)
{
    add_bytes(&flow->expect, text, strlen(text));
}

// NAME, its end included, is what stands at TEXT.
static bool is_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

const char *expect_command(const char *bytes, size_t length, enum piece_kind *kind,
                           size_t *argument)
{
    static const struct {
        const char *name;
        enum piece_kind kind;
    } rows[] = {
        {"/stats", PIECE_STATS}, {"/time", PIECE_TIME},         {"/whoami", PIECE_WHOAMI},
        {"/help", PIECE_HELP},   {"/shutdown", PIECE_SHUTDOWN},
    };
    size_t name = 0;

    while (name < length && !isspace((unsigned char)bytes[name]))
        name++;
    *argument = name;
    while (*argument < length && isspace((unsigned char)bytes[*argument]))
        ++*argument;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_name(rows[i].name, bytes, name))
            continue;
        *kind = rows[i].kind;
        return NULL;
    }
    return "ERR unknown-command\n";
}

static void command(struct expect *expect, const char *line, size_t length)
{
    struct piece piece = {.asked = world.turn_start, .counts_before = counts.count};
    size_t argument;

    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    judge_totals(&piece.total, &piece.busy);
    const char *text = expect_command(line, length, &piece.kind, &argument);
    if (text) {
        add_bytes(expect, text, strlen(text));
        return;
    }
    if (piece.kind == PIECE_SHUTDOWN) {
        piece.given = argument < length;
        piece.loopback = expect->loopback;
        piece.right = is_name(JUDGE_TOKEN, line + argument, length - argument);
        if (piece.right && expect->loopback && (judge_has_token() || judge_token_uncertain()))
            world.may_stop = true;
        if (piece.given && !piece.right)
            judge_guess_read();
    }
    add(expect, piece);
}

static void end_line(struct expect *expect)
{
    const char *line = fifo_first(&expect->line);
    size_t length = expect->line.length;

    expect->overlong = 0;
    if (line[0] == '/')
        command(expect, line, length);
    else
        add_bytes(expect, line, length);
    fifo_take(&expect->line, NULL, length);
}

static void overlong(struct expect *expect)
{
    static const char text[] = "ERR too-long-line\n";

    add_bytes(expect, text, sizeof text - 1);
    fifo_take(&expect->line, NULL, expect->line.length);
    expect->discarding = true;
    expect->closing = ++expect->overlong == 2;
}

static void read_byte(struct expect *expect, char byte)
{
    if (expect->discarding) {
        expect->discarding = byte != '\n';
        return;
    }
    if (expect->line.length == 0) {
        expect->begun_low = world.turn_start;
        expect->begun_high = world.now;
    }
    fifo_put(&expect->line, &byte, 1);
    if (byte == '\n')
        end_line(expect);
    else if (expect->line.length > expect->line_max)
        overlong(expect);
}

void expect_read(struct flow *flow, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && !flow->expect.closing; i++)
        read_byte(&flow->expect, bytes[i]);
}

void expect_end_of_input(struct flow *flow)
{
    if (!flow->expect.closing && flow->expect.line.length > 0)
        end_line(&flow->expect);
}

static void bad(const char *who, const char *what, const char *line, size_t length)
{
    fail("%s: %s: '%.*s'", who, what, (int)(length < 200 ? length : 200), line);
}

static void check_stats(const struct piece *piece, const char *line, const char *who)
{
    unsigned long long total, peers, connected, busy, answered, dropped;
    uint64_t total_now, busy_now;
    int end = 0;

    if (sscanf(line,
               "total_clients=%llu active_udp_peers=%llu connected_tcp=%llu busy_tcp=%llu "
               "udp_answered=%llu udp_dropped=%llu\n%n",
               &total, &peers, &connected, &busy, &answered, &dropped, &end) != 6 ||
        line[end] != '\0')
        bad(who, "not an answer to /stats", line, strlen(line));
    judge_totals(&total_now, &busy_now);
    if (total < piece->total || total > total_now + judge_maybe() || busy < piece->busy ||
        busy > busy_now)
        bad(who, "/stats: totals are wrong", line, strlen(line));
    for (size_t i = piece->counts_before ? piece->counts_before - 1 : 0; i < counts.count; i++)
        if (counts.value[i] == connected)
            return;
    if (connected != 0 || piece->counts_before != 0)
        bad(who, "/stats: connected_tcp is wrong", line, strlen(line));
}

static void check_time(const struct piece *piece, const char *line, const char *who)
{
    struct tm utc = {0};
    long nanoseconds = 0;
    int end = 0;

    if (strlen(line) != 31 ||
        sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%9ldZ\n%n", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
               &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &nanoseconds, &end) != 7 ||
        end != 31)
        bad(who, "not an answer to /time", line, strlen(line));
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    int64_t told = (int64_t)timegm(&utc) * (int64_t)SECOND + nanoseconds;
    if (world.wall_changed < piece->asked &&
        (told < (int64_t)piece->asked + world.wall || told > (int64_t)world.now + world.wall))
        bad(who, "/time tells another time", line, strlen(line));
}

static const char *shutdown_answer(const struct piece *piece)
{
    if (!piece->given)
        return "ERR shutdown-token-required\n";
    if (!judge_has_token())
        return "ERR shutdown-token-missing\n";
    if (!piece->right)
        return "ERR shutdown-token-invalid\n";
    return piece->loopback ? "OK, shutting down\n" : "ERR shutdown-loopback-required\n";
}

static void check_shutdown(const struct piece *piece, const char *line, const char *who)
{
    bool throttled = strcmp(line, "ERR shutdown-throttled\n") == 0;

    if (judge_token_uncertain())
        return;
    if (throttled ? !judge_may_throttle() : strcmp(line, shutdown_answer(piece)) != 0)
        bad(who, "the wrong answer to /shutdown", line, strlen(line));
    if (piece->given && judge_has_token() && !piece->right && !throttled)
        judge_guess_told_wrong(piece->asked);
}

void expect_line(const struct piece *piece, const char *line, size_t length, const char *whoami,
                 const char *who)
{
    char text[ANSWER_LINE_MAX + 1];

    memcpy(text, line, length);
    text[length] = '\0';
    if (strlen(text) != length)
        bad(who, "a NUL in an answer", line, length);
    if (piece->kind == PIECE_STATS)
        check_stats(piece, text, who);
    else if (piece->kind == PIECE_TIME)
        check_time(piece, text, who);
    else if (piece->kind == PIECE_SHUTDOWN)
        check_shutdown(piece, text, who);
    else if (piece->kind == PIECE_HELP ? !strstr(text, "/stats") || !strstr(text, "/shutdown")
                                       : strcmp(text, whoami) != 0)
        bad(who, "the wrong answer", line, length);
}

static void check_answer(struct flow *flow)
{
    struct expect *expect = &flow->expect;
    const struct piece *piece = &expect->piece[expect->first];
    char peer[80], local[80], whoami[200], who[32];

    snprintf(who, sizeof who, "flow %u", flow->number);
    snprintf(whoami, sizeof whoami, "proto=tcp peer=%s local=%s\n", netsock_text(&flow->peer, peer),
             netsock_text(&flow->local, local));
    // Without its name, nobody is known to come from a loopback address either.
    if (!flow->names_failed || (piece->kind != PIECE_WHOAMI && piece->kind != PIECE_SHUTDOWN))
        expect_line(piece, fifo_first(&expect->answer), expect->answer.length, whoami, who);
    fifo_take(&expect->answer, NULL, expect->answer.length);
    expect->first++;
}

// The number of BYTES that belong to the first piece.
static size_t sent_some(struct flow *flow, const char *bytes, size_t length)
{
    struct expect *expect = &flow->expect;
    struct piece *piece = &expect->piece[expect->first];

    if (piece->kind == PIECE_BYTES) {
        size_t count = length < piece->length ? length : piece->length;

        if (memcmp(bytes, fifo_first(&expect->bytes), count) != 0)
            fail("flow %u: wrong bytes are sent, '%.*s' for '%.*s'", flow->number,
                 (int)(count < 60 ? count : 60), bytes, (int)(count < 60 ? count : 60),
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
                 (int)(length < 60 ? length : 60), bytes);
        size_t count = sent_some(flow, bytes, length);

        bytes += count;
        length -= count;
    }
}
