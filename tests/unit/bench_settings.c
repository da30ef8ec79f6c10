// SPDX-License-Identifier: MIT
#include "unit.h"

#include "settings.h"

enum { WORDS_MAX = 12 };

static struct settings settings;
static char error[256];

// Parses a command line given as one string of words.
static bool parse(const char *line)
{
    static char room[512];
    char *argv[WORDS_MAX + 2] = {"echo-bench"};
    int argc = 1;
    struct text text = text_in(error, sizeof error);

    strncpy(room, line, sizeof room - 1);
    for (char *word = strtok(room, " "); word && argc <= WORDS_MAX; word = strtok(NULL, " "))
        argv[argc++] = word;
    bool parsed = settings_parse(&settings, argc, argv, &text);
    text_end(&text);
    return parsed;
}

TEST(defaults)
{
    assert_true(parse("localhost:7"));
    assert_false(settings.udp);
    assert_int_equal(settings.connections, 50);
    assert_int_equal(settings.depth, 1);
    assert_int_equal(settings.size, 64);
    assert_int_equal(settings.reply_size, 64);
    assert_int_equal(settings.duration, 5000000000);
    assert_int_equal(settings.warmup, 500000000);
    assert_int_equal(settings.rest, 0);
}

TEST(seconds)
{
    static const struct {
        const char *line;
        uint64_t duration, warmup;
    } rows[] = {
        {"-t 1 h:1", 1000000000, 500000000},
        {"-t 0.25 h:1", 250000000, 500000000},
        {"-t 1.000000001 h:1", 1000000001, 500000000},
        {"-t 86400 h:1", 86400000000000, 500000000},
        {"-t 2. h:1", 2000000000, 500000000},
        {"-n 10 h:1", 5000000000, 0}, // where messages are counted
        {"-n 10 -w 2 h:1", 5000000000, 2000000000},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_true(parse(rows[i].line));
        assert_int_equal(settings.duration, rows[i].duration);
        assert_int_equal(settings.warmup, rows[i].warmup);
    }
}

TEST(addresses)
{
    static const char *const rows[][3] = {{"[::1]:12345", "::1", "12345"},
                                          {"127.0.0.1:echo", "127.0.0.1", "echo"},
                                          {"localhost:7", "localhost", "7"}};

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_true(parse(rows[i][0]));
        assert_string_equal(settings.host, rows[i][1]);
        assert_string_equal(settings.port, rows[i][2]);
    }
}

TEST(request)
{
    static const char expected[] = "PING\r\n\t\0\\\xff.";

    assert_true(parse("--request=PING\\r\\n\\t\\0\\\\\\xfF. --reply-bytes=7 h:1"));
    assert_int_equal(settings.size, sizeof expected - 1);
    assert_memory_equal(settings.request, expected, sizeof expected - 1);
    assert_int_equal(settings.reply_size, 7);
}

// Each of them with an error in one line.
static const char *const wrong[] = {
    "",
    "localhost",
    "localhost:",
    ":7",
    "::1:7",
    "[::1]",
    "[]:7",
    "a:1 b:2",
    "--frobnicate h:1",
    "--size h:1",
    "--size=0 h:1",
    "--size=x h:1",
    "--size=12x h:1",
    "--size=1048577 h:1",
    "--size=99999999999999999999999999 h:1",
    "--json=yes h:1",
    "-z h:1",
    "-t -1 h:1",
    "-t 1.0000000001 h:1",
    "-t .5 h:1",
    "-t 86401 h:1",
    "-t 999999999999999999999999 h:1",
    "-t 0 h:1",
    "--tcp --udp h:1",
    "--churn --udp h:1",
    "--churn --rate=5 h:1",
    "--churn --depth=2 h:1",
    "--request=x h:1",
    "--reply-bytes=3 h:1",
    "--request=\\q --reply-bytes=3 h:1",
    "--request=\\x4 --reply-bytes=3 h:1",
    "--request=\\ --reply-bytes=3 h:1",
    "--request=x --reply-bytes=3 --verify h:1",
    "--udp --size=65508 h:1",
    "--udp --idle=3 h:1",
    "--tree h:1",
    "--rest=1 h:1",
    "--pid=0 h:1",
    "--hgrm= h:1",
};

TEST(wrong_usage)
{
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        if (parse(wrong[i]))
            fail_msg("'%s' was accepted", wrong[i]);
        assert_true(error[0] != '\0');
        assert_null(strchr(error, '\n'));
    }
}

TEST(help_needs_nothing_else)
{
    assert_true(parse("--help"));
    assert_true(settings.help);
    assert_true(parse("-V"));
    assert_true(settings.version);
}

TEST(help_fits)
{
    char room[4096];
    struct text help = text_in(room, sizeof room);

    settings_help(&help);
    text_end(&help);
    assert_false(help.cut);
    for (const char *line = strtok(room, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 95);
}
