// SPDX-License-Identifier: MIT
#include "unit.h"

#include "ground/util.h"
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
    assert_string_equal(settings.host, "localhost");
    assert_string_equal(settings.port, "7");
    assert_false(settings.udp);
    assert_int_equal(settings.connections, 50);
    assert_int_equal(settings.depth, 1);
    assert_int_equal(settings.size, 64);
    assert_int_equal(settings.reply_size, 64);
    assert_int_equal(settings.duration, 5000000000);
    assert_int_equal(settings.warmup, 500000000);
    assert_int_equal(settings.rest, 0);
}

TEST(no_warmup_where_messages_are_counted)
{
    assert_true(parse("-n 10 localhost:7"));
    assert_int_equal(settings.warmup, 0);
    assert_true(parse("-n 10 -w 2 localhost:7"));
    assert_int_equal(settings.warmup, 2000000000);
}

TEST(seconds)
{
    static const struct {
        const char *line;
        uint64_t nanoseconds;
    } rows[] = {
        {"-t 1 h:1", 1000000000},
        {"-t 0.25 h:1", 250000000},
        {"-t 1.000000001 h:1", 1000000001},
        {"-t 86400 h:1", 86400000000000},
        {"-t 2. h:1", 2000000000},
        {"-t .2 h:1", 200000000},
        {"-t 1e3 h:1", 1000000000000},
        {"-t .5e+1 h:1", 5000000000},
        {"-t 5.0000000000 h:1", 5000000000},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_true(parse(rows[i].line));
        assert_int_equal(settings.duration, rows[i].nanoseconds);
    }
}

TEST(counts)
{
    static const struct {
        const char *line;
        unsigned rate;
    } rows[] = {{"-r 1 h:1", 1},
                {"-r 1e6 h:1", 1000000},
                {"-r 2.5e3 h:1", 2500},
                {"-r .1E4 h:1", 1000},
                {"-r 3.0 h:1", 3}};

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_true(parse(rows[i].line));
        assert_int_equal(settings.rate, rows[i].rate);
    }
    assert_true(parse("-n 1e12 -c 1e2 -s 1e3 --idle=2e4 h:1"));
    assert_int_equal(settings.messages, 1000000000000);
    assert_int_equal(settings.connections, 100);
    assert_int_equal(settings.size, 1000);
    assert_int_equal(settings.idle, 20000);
}

// Each of both ends a run; without either it takes five seconds.
TEST(messages_and_duration)
{
    assert_true(parse("-n 10 h:1"));
    assert_int_equal(settings.duration, 0);
    assert_true(parse("-n 10 -t 2 h:1"));
    assert_int_equal(settings.duration, 2000000000);
    assert_int_equal(settings.messages, 10);
}

TEST(addresses)
{
    assert_true(parse("[::1]:12345"));
    assert_string_equal(settings.host, "::1");
    assert_string_equal(settings.port, "12345");
    assert_true(parse("127.0.0.1:echo"));
    assert_string_equal(settings.host, "127.0.0.1");
    assert_string_equal(settings.port, "echo");
    assert_true(parse("h:65535"));
    assert_true(parse("h:3com-tsmux")); // a service's name has a letter, and may begin with a digit
}

TEST(request)
{
    static const char expected[] = "PING\r\n\t\0\\\xff.";

    assert_true(parse("--request=PING\\r\\n\\t\\0\\\\\\xfF. --reply-bytes=7 h:1"));
    assert_int_equal(settings.size, sizeof expected - 1);
    assert_memory_equal(settings.request, expected, sizeof expected - 1);
    assert_int_equal(settings.reply_size, 7);
}

TEST(trains)
{
    assert_true(parse("--udp --gso -d 2 h:1"));
    assert_true(settings.gso);
    assert_true(parse("--udp --gso -d 2 -s 32753 h:1"));
    assert_true(parse("--udp -d 2 h:1"));
    assert_false(settings.gso);
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
    "-t . h:1",
    "-t 1e h:1",
    "-t 1e-3 h:1",
    "-t 1e5 h:1",
    "-t 1e99999999999999999999 h:1",
    "-t 1.2.3 h:1",
    "-r 0 h:1",
    "-r .5 h:1",
    "-r 1.5 h:1",
    "-r 1e9 h:1",
    "-c 1e h:1",
    "-t 86401 h:1",
    "-t 999999999999999999999999 h:1",
    "-t 0 h:1",
    "-t 0 -n 5 h:1",
    "--timeout=0 h:1",
    "h:0",
    "h:65536",
    "h:77881",
    "h:+7",
    "h:-7",
    "h:7.",
    "h:4294967303",
    "h:18446744073709551623",
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
    "--gso h:1",
    "--gso --tcp --depth=8 h:1",
    "--gso --udp h:1",
    "--gso --udp --depth=8 --size=32754 h:1",
    "--udp --idle=3 h:1",
    "--rest=1 h:1",
    "--pid=0 h:1",
    "--hgrm= h:1",
    "--interval=0 h:1",
    "--interval=0.24 h:1",
    "--repeat=0 h:1",
    "--repeat=101 h:1",
    "--repeat=2 --hgrm=x h:1",
    "--repeat=2 --turns h:1",
    "--expect= h:1",
    "--expect=p99 h:1",
    "--expect=p99<2 h:1",
    "--expect=p99<ms h:1",
    "--expect=p99<2m h:1",
    "--expect=p99<2msx h:1",
    "--expect=p99=<2ms h:1",
    "--expect=p99==2ms h:1",
    "--expect=p99<>2ms h:1",
    "--expect=p99<0x2ms h:1",
    "--expect=p99<-2ms h:1",
    "--expect=p99<nan h:1",
    "--expect=p9<2ms h:1",
    "--expect=errors=0s h:1",
    "--expect=errors=0, h:1",
    "--expect=,errors=0 h:1",
    "--expect=a=0 h:1",
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

static bool keeps(const char *line, double value)
{
    assert_true(parse(line));
    return expect_kept(&settings.expect.bounds[0], (struct figure){true, value});
}

TEST(bounds)
{
    static const struct {
        const char *line;
        bool below, at, above; // 2 ms
    } rows[] = {{"--expect=p99<2ms h:1", true, false, false},
                {"--expect=p99<=2000us h:1", true, true, false},
                {"--expect=max=2000µs h:1", false, true, false},
                {"--expect=p99.9>=2e6ns h:1", false, true, true},
                {"--expect=mean>.002s h:1", false, false, true},
                {"--expect=rate>2e3 h:1", false, false, true}};

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(keeps(rows[i].line, 1999), rows[i].below);
        assert_int_equal(keeps(rows[i].line, 2000), rows[i].at);
        assert_int_equal(keeps(rows[i].line, 2001), rows[i].above);
    }
    assert_false(expect_kept(&settings.expect.bounds[0], (struct figure){.known = false}));
}

TEST(a_list_of_bounds)
{
    assert_true(parse("--expect=p99<2ms,errors=0 --expect=rate>=100 h:1"));
    assert_int_equal(settings.expect.count, 3);
    assert_true(expect_has(&settings.expect, "errors"));
    assert_false(expect_has(&settings.expect, "max"));
    assert_int_equal(settings.expect.bounds[0].length, strlen("p99<2ms"));
    assert_true(parse(
        "--expect=min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,"
        "min<1s,min<1s,min<1s,min<1s,min<1s h:1"));
    assert_false(parse(
        "--expect=min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,min<1s,"
        "min<1s,min<1s,min<1s,min<1s,min<1s,min<1s h:1"));
    assert_non_null(strstr(error, "one too many"));
}

// A picture has some 200 of them.
TEST(interval)
{
    assert_true(parse("h:1"));
    assert_int_equal(settings.interval, 250000000);
    assert_false(settings.lines);
    assert_true(parse("-t 100 h:1"));
    assert_int_equal(settings.interval, 750000000);
    assert_true(parse("-n 100 h:1"));
    assert_int_equal(settings.interval, 1000000000);
    assert_true(parse("--interval=2.5 h:1"));
    assert_int_equal(settings.interval, 2500000000);
    assert_true(settings.lines);
    assert_true(parse("--interval=2.5 --json h:1"));
    assert_false(settings.lines);
}
