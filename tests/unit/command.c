// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/command.h"
#include "core/turn.h"

static struct facts facts_of(enum protocol protocol, const char *peer, const char *local)
{
    struct facts facts = {.protocol = protocol,
                          .time = {.tv_sec = 1795226463, .tv_nsec = 123456789},
                          .counters = {.total_clients = 7,
                                       .active_udp_peers = 2,
                                       .connected_tcp = 3,
                                       .busy_tcp = 4,
                                       .udp_answered = 5,
                                       .udp_dropped = {1, 1, 1, 1, 1, 1, 100},
                                       .proxy_refused = 8,
                                       .messages = {10},
                                       .received = {11},
                                       .sent = {12}},
                          .uptime_seconds = 9};

    assert_true(address_parse(peer, &facts.peer));
    assert_true(address_parse(local, &facts.local));
    facts.loopback = address_is_loopback(&facts.peer);
    facts.peer.port = 40000;
    facts.local.port = 12345;
    return facts;
}

static struct {
    struct facts facts;
    struct gate gate;
} asked;

BEFORE_EACH
{
    asked.facts = facts_of(PROTOCOL_TCP, "192.0.2.1", "192.0.2.2");
    asked.gate = (struct gate){.passed = false};
    assert_null(token_take(&asked.gate.token, "open sesame\n", 12));
}

// The message, LENGTH bytes, is in a block of its own: AddressSanitizer sees a byte too far.
static void expect(const char *message, size_t length, const char *expected)
{
    char room[TURN_TEXT_MAX_BYTES], *exact = malloc(length);
    struct reply answer = {.buffer = room};

    assert_non_null(exact);
    memcpy(exact, message, length);
    assert_true(is_command(exact, length));
    asked.facts.gate = &asked.gate;
    command_answer(exact, length, &asked.facts, &answer);
    free(exact);
    if (expected)
        assert_bytes(answer.bytes, answer.length, expected);
    assert_int_equal(answer.bytes[answer.length - 1], '\n');
    assert_ptr_equal(memchr(answer.bytes, '\n', answer.length), answer.bytes + answer.length - 1);
}

static void expect_line(const char *message, const char *expected)
{
    expect(message, strlen(message), expected);
}

#define STATS                                                                                      \
    "total_clients=7 active_udp_peers=2 connected_tcp=3 busy_tcp=4 udp_answered=5 udp_dropped=6 "  \
    "proxy_refused=8 uptime_s=9 tcp_lines=10 tcp_bytes_in=11 tcp_bytes_out=12 version=" VERSION
#define UNKNOWN "ERR unknown-command\n"

TEST(a_command_begins_with_a_slash)
{
    assert_true(is_command("/", 1));
    assert_true(is_command("/x", 2));
    assert_false(is_command("", 0));
    assert_false(is_command(" /stats", 7));
    assert_false(is_command("stats", 5));
}

TEST(each_command_has_its_answer)
{
    expect_line("/stats\n", STATS "\n");
    expect_line("/time\n", "2026-11-21T02:01:03.123456789Z\n");
    expect_line("/whoami\n", "proto=tcp peer=192.0.2.1:40000 local=192.0.2.2:12345\n");
    expect_line("/help\n", "/stats /time /whoami /health /help /shutdown TOKEN\n");
    expect_line("/health\n", "ready up 100%\n");
    asked.facts.draining = true;
    expect_line("/health\n", "drain\n");
    expect_line("/other\n", UNKNOWN);
}

TEST(a_proxy_and_a_name_are_told)
{
    asked.facts.name = "box-1";
    expect_line("/whoami\n", "proto=tcp peer=192.0.2.1:40000 local=192.0.2.2:12345 name=box-1\n");
    asked.facts.via = asked.facts.local;
    expect_line("/whoami\n", "proto=tcp peer=192.0.2.1:40000 local=192.0.2.2:12345 "
                             "via=192.0.2.2:12345 name=box-1\n");
    asked.facts.authority = "a.example/";
    asked.facts.authority_length = 9;
    asked.facts.tls = "TLSv1.3";
    asked.facts.tls_length = 7;
    expect_line("/whoami\n",
                "proto=tcp peer=192.0.2.1:40000 local=192.0.2.2:12345 via=192.0.2.2:12345 "
                "authority=a.example tls=TLSv1.3 name=box-1\n");
    expect_line("/stats\n", STATS " name=box-1\n");
}

// In one turn all facts are of one instant: what is told once is told again as it is.
TEST(a_text_is_made_once_a_turn)
{
    char room[8 * TURN_TEXT_MAX_BYTES];
    struct reply reply = {.buffer = room};

    asked.facts.gate = &asked.gate;
    reply_echo(&reply, "x\n", 2);
    command_answer("/stats\n", 7, &asked.facts, &reply);
    asked.facts.counters.total_clients++; // as it cannot be
    command_answer("/help\n", 6, &asked.facts, &reply);
    command_answer("/stats x\r\n", 10, &asked.facts, &reply);
    command_answer("/shutdown a\n", 12, &asked.facts, &reply);
    command_answer("/shutdown open sesame\n", 22, &asked.facts, &reply);
    assert_bytes(reply.bytes, reply.length,
                 "x\n" STATS "\n/stats /time /whoami /health /help /shutdown TOKEN\n" STATS "\n"
                 "ERR shutdown-token-invalid\nERR shutdown-loopback-required\n");
    assert_int_equal(reply.texts, 5);
    assert_int_equal(reply.asked[0],
                     2); // as they are counted: /stats, and those that there are not
    assert_string_equal(command_name(0), "stats");
    command_answer("/x\n", 3, &asked.facts, &reply);
    assert_int_equal(reply.asked[COUNTED_UNKNOWN], 1);
    assert_null(command_name(COUNTED_UNKNOWN));
}

TEST(what_does_not_depend_on_the_argument_is_remembered)
{
    static const char *const message[] = {"/time", "/whoami", "/stats", "/help", "/shutdown", "/x"};
    char room[8 * TURN_TEXT_MAX_BYTES];
    struct reply reply = {.buffer = room};
    unsigned told = 0;

    asked.facts.gate = &asked.gate;
    for (size_t i = 0; i < ARRAY_LENGTH(message); i++)
        command_answer(message[i], strlen(message[i]), &asked.facts, &reply);
    for (size_t i = 0; i < TURN_TOLD_MAX; i++)
        told += reply.told[i].length > 0;
    assert_int_equal(told, 4);
}

TEST(a_name_ends_at_white_space_or_the_end)
{
    static const char *const stats[] = {
        "/stats",    "/stats\n",        "/stats\r\n", "/stats\r",    "/stats ",   "/stats x y\n",
        "/stats\tx", "/stats\vx\r\n\n", "/stats\fx",  "/stats\rx\n", "/stats\nx",
    };
    static const char *const unknown[] = {
        "/",       "/\n",     "/ stats",    "//stats",  "/stat",     "/statsx",  "/STATS",
        "/stats/", "/stats.", "/stats\x85", "/\nstats", "/helphelp", "/\r\n\r\n"};

    for (size_t i = 0; i < sizeof stats / sizeof stats[0]; i++)
        expect_line(stats[i], STATS "\n");
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        expect_line(unknown[i], UNKNOWN);
    expect("/stats\0", 7, UNKNOWN);
    expect("/stats \0", 8, STATS "\n");
}

TEST(shutdown_takes_the_token_and_nothing_else)
{
    asked.facts = facts_of(PROTOCOL_TCP, "127.0.0.1", "127.0.0.1");
    expect_line("/shutdown\n", "ERR shutdown-token-required\n");
    expect_line("/shutdown \t\r\n", "ERR shutdown-token-required\n");
    expect_line("/shutdown open sesame \n", "ERR shutdown-token-invalid\n");
    assert_false(asked.gate.passed);
    expect_line("/shutdown \t open sesame\r\n", "OK, shutting down\n");
    assert_true(asked.gate.passed);
}

TEST(shutdown_is_for_loopback)
{
    static const char *const near[] = {"127.0.0.1", "::1", "::ffff:127.1.2.3"};

    expect_line("/shutdown open sesame", "ERR shutdown-loopback-required\n");
    assert_false(asked.gate.passed);
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++) {
        asked.facts = facts_of(PROTOCOL_TCP, near[i], "::1");
        asked.gate.passed = false;
        expect_line("/shutdown open sesame", "OK, shutting down\n");
        assert_true(asked.gate.passed);
    }
}

TEST(shutdown_without_a_token_configured_is_refused)
{
    asked.facts = facts_of(PROTOCOL_TCP, "::1", "::1");
    asked.gate.token.length = 0;
    expect_line("/shutdown", "ERR shutdown-token-required\n");
    expect_line("/shutdown x", "ERR shutdown-token-missing\n");
    assert_false(asked.gate.passed);
}

TEST(shutdown_is_throttled)
{
    asked.facts = facts_of(PROTOCOL_TCP, "::1", "::1");
    for (int i = 0; i < GUESSES_MAX; i++)
        expect_line("/shutdown x", "ERR shutdown-token-invalid\n");
    expect_line("/shutdown open sesame", "ERR shutdown-throttled\n");
    asked.facts.now += GUESSES_SECONDS * TICKS_PER_SECOND + 1;
    expect_line("/shutdown open sesame", "OK, shutting down\n");
}

TEST(shutdown_over_udp_is_never_allowed)
{
    asked.facts = facts_of(PROTOCOL_UDP, "127.0.0.1", "127.0.0.1");
    for (int i = 0; i < 2 * GUESSES_MAX; i++)
        expect_line("/shutdown x", "ERR shutdown-not-allowed\n"); // and no guess is counted
    expect_line("/shutdown", "ERR shutdown-not-allowed\n");
    expect_line("/shutdown open sesame\n", "ERR shutdown-not-allowed\n");
    assert_false(asked.gate.passed);
    assert_int_equal(asked.gate.wrong_count, 0);
}

TEST(whoami_shows_ipv6_in_brackets)
{
    asked.facts = facts_of(PROTOCOL_UDP, "2001:db8::1", "::ffff:192.0.2.2");
    expect_line("/whoami", "proto=udp peer=[2001:db8::1]:40000 local=192.0.2.2:12345\n");
}

TEST(time_has_nine_decimals_at_any_instant)
{
    static const struct {
        struct timespec time;
        const char *line;
    } row[] = {
        {{0, 0}, "1970-01-01T00:00:00.000000000Z\n"},
        {{951782399, 999999999}, "2000-02-28T23:59:59.999999999Z\n"},
        {{951782400, 1}, "2000-02-29T00:00:00.000000001Z\n"},
        {{4102444800, 10}, "2100-01-01T00:00:00.000000010Z\n"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        asked.facts.time = row[i].time;
        expect_line("/time\n", row[i].line);
    }
}

TEST(the_longest_answers_fit)
{
    asked.facts = facts_of(PROTOCOL_TCP, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    asked.facts.peer.port = asked.facts.local.port = UINT16_MAX;
    asked.facts.peer.scope = asked.facts.local.scope = UINT32_MAX;
    memset(&asked.facts.counters, 0xff, sizeof asked.facts.counters);
    asked.facts.uptime_seconds = UINT64_MAX;
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    asked.facts.name = asked.facts.authority = asked.facts.tls = longest;
    asked.facts.authority_length = 255;
    asked.facts.tls_length = 15;
    asked.facts.via = asked.facts.peer;
    expect_line("/whoami", NULL);
    expect_line("/stats", NULL);
    asked.facts.time = (struct timespec){INT64_MAX, 999999999}; // no such year
    expect_line("/time", NULL);
}
