// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/options.h"

enum { WORDS_MAX = 80 };

static struct {
    struct options options;
    char error[256];
    char words[512]; // argv points into it, as take_bind may
    char *argv[WORDS_MAX + 1];
} parsed;

// Parses LINE, words with one space in between.
static bool parse(const char *line)
{
    struct text error = text_in(parsed.error, sizeof parsed.error);
    int argc = 0;

    snprintf(parsed.words, sizeof parsed.words, "epoll-echo%s%s", *line ? " " : "", line);
    for (char *at = parsed.words; at; argc++) {
        assert_true(argc < WORDS_MAX);
        parsed.argv[argc] = at;
        at = strchr(at, ' ');
        if (at)
            *at++ = '\0';
    }
    parsed.argv[argc] = NULL;
    bool right = options_parse(&parsed.options, argc, parsed.argv, &error);
    text_end(&error);
    assert_int_equal(right, error.length == 0);
    assert_null(strchr(parsed.error, '\n'));
    return right;
}

static const struct options *options_of(const char *line)
{
    if (!parse(line))
        fail_msg("%s: %s", line, parsed.error);
    return &parsed.options;
}

static void expect_error(const char *line, const char *error)
{
    if (parse(line))
        fail_msg("%s: was accepted", line);
    assert_string_equal(parsed.error, error);
}

TEST(ports_are_common_or_apart_in_any_order)
{
    static const struct {
        const char *line;
        unsigned tcp, udp;
        bool one, given;
    } row[] = {
        {"", 12345, 12345, true, false},
        {"--port=0", 0, 0, true, true},
        {"-p 80", 80, 80, true, true},
        {"-p80", 80, 80, true, true},
        {"--port 65535", 65535, 65535, true, true},
        {"--tcp-port=1", 1, 12345, false, true},
        {"--udp-port=1", 12345, 1, false, true},
        {"--tcp-port=1 --port=2", 1, 2, false, true},
        {"--port=2 --tcp-port=1", 1, 2, false, true},
        {"--udp-port=3 --port=2 --tcp-port=1", 1, 3, false, true},
        {"--port=1 --port=2", 2, 2, true, true},
        {"--tcp-port=0 --udp-port=0", 0, 0, false, true},
        {"--backlog=4096", 12345, 12345, true, true},
        {"--bind=::1", 12345, 12345, true, true},
        {"--listen=echo:7", 12345, 12345, true, true},
        {"--max-tcp=1 --max-line=1 -v", 12345, 12345, true, false},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        const struct options *options = options_of(row[i].line);

        assert_int_equal(options->tcp_port, row[i].tcp);
        assert_int_equal(options->udp_port, row[i].udp);
        assert_int_equal(options->endpoint[0].one_port, row[i].one);
        assert_int_equal(options->sockets_given, row[i].given);
    }
}

static const struct number {
    const char *name;
    size_t offset;
    unsigned minimum, maximum, otherwise;
} numbers[] = {
    {"port", offsetof(struct options, port), 0, 65535, 12345},
    {"tcp-port", offsetof(struct options, tcp_port), 0, 65535, 12345},
    {"udp-port", offsetof(struct options, udp_port), 0, 65535, 12345},
    {"max-tcp", offsetof(struct options, max_tcp), 1, 1000000, 1024},
    {"backlog", offsetof(struct options, backlog), 1, 65535, 4096},
    {"max-line", offsetof(struct options, max_line), 1, 1048576, 4096},
    {"max-datagram", offsetof(struct options, max_datagram), 1, 65507, 65507},
    {"idle-timeout", offsetof(struct options, idle_timeout), 0, 31536000, 0},
    {"line-timeout", offsetof(struct options, line_timeout), 0, 31536000, 30},
    {"drain-timeout", offsetof(struct options, drain_timeout), 0, 86400, 5},
    {"socket-buffer", offsetof(struct options, socket_buffer), 0, 1 << 30, 0},
};

static unsigned value_of(const struct number *number, const struct options *options)
{
    return *(const unsigned *)(const void *)((const char *)options + number->offset);
}

TEST(the_defaults_are_the_contracts)
{
    const struct options *options = options_of("");

    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
        assert_int_equal(value_of(&numbers[i], options), numbers[i].otherwise);
    assert_int_equal(options->bind_count, 0);
    assert_false(options->edge || options->help || options->version || options->sockets_given);
    assert_true(options->endpoint[0].one_port);
    assert_null(options->token_file);
    assert_int_equal(options->log_level, LOG_INFO);
}

static void expect_number(const struct number *number, const char *written, unsigned value)
{
    char line[128];

    snprintf(line, sizeof line, "--%s=%s", number->name, written);
    assert_int_equal(value_of(number, options_of(line)), value);
}

static void expect_no_number(const struct number *number, const char *written)
{
    char line[128], error[192];

    snprintf(line, sizeof line, "--%s=%s", number->name, written);
    snprintf(error, sizeof error, "--%s: '%s' is not a number from %u to %u", number->name, written,
             number->minimum, number->maximum);
    expect_error(line, error);
}

TEST(numbers_are_taken_within_their_bounds)
{
    char written[32];

    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        const struct number *number = &numbers[i];

        snprintf(written, sizeof written, "%u", number->minimum);
        expect_number(number, written, number->minimum);
        snprintf(written, sizeof written, "%u", number->maximum);
        expect_number(number, written, number->maximum);
        snprintf(written, sizeof written, "00000000000000000000%u", number->maximum);
        expect_number(number, written, number->maximum);
        snprintf(written, sizeof written, "%u", number->maximum + 1);
        expect_no_number(number, written);
        if (number->minimum > 0)
            expect_no_number(number, "0");
        expect_no_number(number, "4294967296");
    }
}

// INET6_ADDRSTRLEN counts the longest there is, with an IPv4 address in it, and its NUL.
#define LONGEST "1111:2222:3333:4444:5555:6666:255.255.255.255"

TEST(addresses_are_collected)
{
    const struct options *options = options_of("--bind=127.0.0.1 --bind ::1 --bind=fe80::1%eth0");

    assert_int_equal(options->bind_count, 3);
    assert_true(options->sockets_given);
    assert_string_equal(ADDRESS_STRING(&options->bind[0].address), "127.0.0.1:0");
    assert_string_equal(ADDRESS_STRING(&options->bind[1].address), "[::1]:0");
    assert_string_equal(options->bind[1].interface, "");
    assert_string_equal(ADDRESS_STRING(&options->bind[2].address), "[fe80::1]:0");
    assert_string_equal(options->bind[2].interface, "eth0");
    assert_int_equal(strlen(LONGEST), INET6_ADDRSTRLEN - 1);
    assert_string_equal(ADDRESS_STRING(&options_of("--bind=" LONGEST)->bind[0].address),
                        "[1111:2222:3333:4444:5555:6666:ffff:ffff]:0");
}

TEST(what_is_no_address_is_refused)
{
    static const char *const wrong[] = {"",
                                        "localhost",
                                        "[::1]",
                                        "1.2.3.4:80",
                                        "::1%",
                                        "%lo",
                                        "1.2.3.4%lo",
                                        "::ffff:1.2.3.4%lo",
                                        "fe80::1%sixteen-letters-",
                                        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa",
                                        (LONGEST "x"),
                                        (LONGEST "5"),
                                        (LONGEST "55")};
    char line[128], error[192];

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        snprintf(line, sizeof line, "--bind=%s", wrong[i]);
        snprintf(error, sizeof error, "--bind: '%s' is not an IPv4 or IPv6 address", wrong[i]);
        expect_error(line, error);
    }
}

TEST(no_group_of_hosts_is_bound)
{
    static const char *const wrong[] = {
        "--bind: '224.0.0.1' ",          "--bind: '239.255.255.255' ",
        "--bind: '255.255.255.255' ",    "--bind: 'ff02::1' ",
        "--bind: 'ff02::1%lo' ",         "--bind: '::ffff:224.0.0.1' ",
        "--listen: 'echo:224.0.0.1:7' ", "--listen: 'echo:[ff02::1%lo]:7' ",
    };
    char line[128], error[192];

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        const char *value = strchr(wrong[i], '\'') + 1;

        snprintf(line, sizeof line, "%.*s=%.*s", (int)strcspn(wrong[i], ":"), wrong[i],
                 (int)strcspn(value, "'"), value);
        snprintf(error, sizeof error,
                 "%sis a multicast or broadcast address, and no host's, as 192.0.2.1 and ::1 are",
                 wrong[i]);
        expect_error(line, error);
    }
    assert_int_equal(options_of("--bind=0.0.0.0 --bind=:: --bind=223.255.255.255")->bind_count, 3);
    assert_int_equal(options_of("--bind=240.0.0.1 --listen=echo:[fe02::1]:7")->bind_count, 2);
}

TEST(addresses_have_a_bound)
{
    struct text error = text_in(parsed.error, sizeof parsed.error);
    char name[] = "epoll-echo", word[] = "--bind=::1";
    char *argv[BINDS_MAX + 3] = {name};

    for (int i = 1; i <= BINDS_MAX; i++)
        argv[i] = word;
    assert_true(options_parse(&parsed.options, BINDS_MAX + 1, argv, &error));
    assert_int_equal(parsed.options.bind_count, BINDS_MAX);
    argv[BINDS_MAX + 1] = word;
    assert_false(options_parse(&parsed.options, BINDS_MAX + 2, argv, &error));
    assert_string_equal(text_end(&error), "--bind: more than 64 addresses");

    char listen[] = "--listen=echo:[::1]:7";
    error = text_in(parsed.error, sizeof parsed.error);
    argv[BINDS_MAX + 1] = listen;
    assert_false(options_parse(&parsed.options, BINDS_MAX + 2, argv, &error));
    assert_string_equal(text_end(&error),
                        "--listen: 'echo:[::1]:7' is one address too many: 64 are the most");
}

TEST(further_ports_have_a_bound)
{
    struct text error = text_in(parsed.error, sizeof parsed.error);
    char name[] = "epoll-echo", word[] = "--listen=echo:7";
    char *argv[ENDPOINTS_MAX + 2] = {name};

    for (int i = 1; i <= ENDPOINTS_MAX; i++)
        argv[i] = word;
    assert_true(options_parse(&parsed.options, ENDPOINTS_MAX, argv, &error));
    assert_int_equal(parsed.options.endpoint_count, ENDPOINTS_MAX);
    assert_false(options_parse(&parsed.options, ENDPOINTS_MAX + 1, argv, &error));
    assert_string_equal(text_end(&error),
                        "--listen: 'echo:7' is one port too many: 64 are the most");
}

TEST(further_ports_are_collected)
{
    static const struct {
        const char *value;
        unsigned port;
        bool tcp, udp, one_port;
        const char *bound; // NULL: every address
    } row[] = {
        {"echo:0", 0, true, true, true, NULL},
        {"echo:65535/tcp", 65535, true, false, false, NULL},
        {"echo:7/udp", 7, false, true, false, NULL},
        {"echo:192.0.2.1:7", 7, true, true, true, "192.0.2.1:0"},
        {"echo:[::1]:80/udp", 80, false, true, false, "[::1]:0"},
        {"echo:[::ffff:192.0.2.1]:7", 7, true, true, true, "192.0.2.1:0"},
    };
    char line[128];

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        snprintf(line, sizeof line, "--bind=::2 --listen=%s --bind=::3", row[i].value);
        const struct options *options = options_of(line);
        const struct endpoint *endpoint = &options->endpoint[1];

        assert_int_equal(options->endpoint_count, 2);
        assert_true(options->sockets_given);
        assert_int_equal(endpoint->role_length, 4);
        assert_memory_equal(endpoint->role, "echo", 4);
        assert_int_equal(endpoint->tcp_port, row[i].port);
        assert_int_equal(endpoint->udp_port, row[i].port);
        assert_int_equal(endpoint->tcp, row[i].tcp);
        assert_int_equal(endpoint->udp, row[i].udp);
        assert_int_equal(endpoint->one_port, row[i].one_port);
        assert_int_equal(options->bind_count, row[i].bound ? 3 : 2);
        if (row[i].bound) {
            assert_int_equal(options->bind[1].endpoint, 1);
            assert_string_equal(ADDRESS_STRING(&options->bind[1].address), row[i].bound);
        }
        assert_int_equal(options->bind[options->bind_count - 1].endpoint, 0);
    }
    assert_string_equal(options_of("--listen=echo:[fe80::1%eth0]:7")->bind[0].interface, "eth0");
}

TEST(a_further_port_that_is_none_is_named)
{
#define NO_ROLE "names no role: ROLE[+proxy]:[ADDR:]PORT[/tcp|/udp], as raw:[::1]:7"
#define NO_PORT "has no port from 0 to 65535, as echo:7 has"
#define NO_ADDRESS "has no address before its port, as echo:192.0.2.1:7 or echo:[::1]:7"
#define NO_PROTOCOL "ends neither in /tcp nor in /udp, as echo:7/tcp does"
    static const char *const row[][2] = {
        {"", NO_ROLE},
        {"7", NO_ROLE},
        {":7", NO_ROLE},
        {"/tcp:7", NO_ROLE},
        {"echo:", NO_PORT},
        {"echo:/tcp", NO_PORT},
        {"echo:65536", NO_PORT},
        {"echo:99999999999999999999", NO_PORT},
        {"echo:x", NO_PORT},
        {"echo:7x", NO_PORT},
        {"echo:-7", NO_PORT},
        {"echo:x7", NO_PORT},
        {"echo::7", NO_ADDRESS},
        {"echo:::1:7", NO_ADDRESS},
        {"echo:::7", NO_ADDRESS},
        {"echo:[::1]7", NO_PORT},
        {"echo:[]:7", NO_ADDRESS},
        {"echo:[:7", NO_ADDRESS},
        {"echo:[::1:7", NO_ADDRESS},
        {"echo:[192.0.2.1]:7", NO_ADDRESS},
        {"echo:localhost:7", NO_ADDRESS},
        {"echo:192.0.2.1%lo:7", NO_ADDRESS},
        {"echo:7/", NO_PROTOCOL},
        {"echo:7/sctp", NO_PROTOCOL},
        {"echo:7/tcp/udp", NO_PROTOCOL},
    };
    char line[128], error[256];

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        snprintf(line, sizeof line, "--listen=%s", row[i][0]);
        snprintf(error, sizeof error, "--listen: '%s' %s", row[i][0], row[i][1]);
        expect_error(line, error);
    }
}

TEST(a_server_to_be_probed_is_taken)
{
    static const struct {
        const char *value, *address, *interface;
        bool udp;
    } row[] = {
        {"127.0.0.1:7", "127.0.0.1:7", "", false},
        {"192.0.2.1:1/udp", "192.0.2.1:1", "", true},
        {"0.0.0.0:0065535", "0.0.0.0:65535", "", false},
        {"[::1]:7", "[::1]:7", "", false},
        {"[::]:12345/udp", "[::]:12345", "", true},
        {"[::ffff:192.0.2.1]:7", "192.0.2.1:7", "", false},
        {"[fe80::1%eth0]:7/udp", "[fe80::1]:7", "eth0", true},
        {"[fe80::1%2]:7", "[fe80::1]:7", "2", false},
        {"[febf::1%fifteen-letters]:7", "[febf::1]:7", "fifteen-letters", false},
        {"[fec0::1]:7", "[fec0::1]:7", "", false},
        {"[" LONGEST "]:7", "[1111:2222:3333:4444:5555:6666:ffff:ffff]:7", "", false},
        {"localhost:7", "127.0.0.1:7", "", false},
        {"localhost:7/udp", "127.0.0.1:7", "", true},
    };
    char line[128];

    assert_null(options_of("")->probe.text);
    for (size_t i = 0; i < 2 * ARRAY_LENGTH(row); i++) {
        snprintf(line, sizeof line, i % 2 ? "--probe=%s" : "--probe %s", row[i / 2].value);
        const struct probe *probe = &options_of(line)->probe;

        assert_string_equal(probe->text, row[i / 2].value);
        assert_string_equal(ADDRESS_STRING(&probe->address), row[i / 2].address);
        assert_string_equal(probe->interface, row[i / 2].interface);
        assert_int_equal(probe->udp, row[i / 2].udp);
    }
}

#define NO_HOST "names no host: 127.0.0.1:7, [::1]:7 or localhost:7; other names are not looked up"
#define NO_PROBE_PORT "has no port from 1 to 65535, as 127.0.0.1:7 has"
#define NO_PROBE_END "ends neither in its port nor in /udp, as [::1]:7/udp does"
#define NO_SINGLE_HOST                                                                             \
    "is a multicast or broadcast address, and no host's, as 192.0.2.1 and ::1 are"
#define NO_INTERFACE "is link-local and needs its interface, as [fe80::1%eth0]:7"
static const char *const no_probe[][2] = {
    {"", NO_PROBE_PORT},
    {"7", NO_PROBE_PORT},
    {"localhost", NO_PROBE_PORT},
    {"localhost:", NO_PROBE_PORT},
    {"localhost:/udp", NO_PROBE_PORT},
    {"localhost:0", NO_PROBE_PORT},
    {"localhost:65536", NO_PROBE_PORT},
    {"localhost:99999999999999999999", NO_PROBE_PORT},
    {"localhost:-7", NO_PROBE_PORT},
    {"localhost:7x", NO_PROBE_PORT},
    {"localhost:echo", NO_PROBE_PORT},
    {"[::1]7", NO_PROBE_PORT},
    {"[::1]", NO_PROBE_PORT},
    {"::", NO_PROBE_PORT},
    {":7", NO_HOST},
    {"[]:7", NO_HOST},
    {"[:7", NO_HOST},
    {"]:7", NO_HOST},
    {"::1:7", NO_HOST},
    {"[::1:7", NO_HOST},
    {"::1]:7", NO_HOST},
    {"x::1]:7", NO_HOST},
    {"[127.0.0.1]:7", NO_HOST},
    {"127.1:7", NO_HOST},
    {"localhos:7", NO_HOST},
    {"localhosts:7", NO_HOST},
    {"Localhost:7", NO_HOST},
    {"[localhost]:7", NO_HOST},
    {"example.org:7", NO_HOST},
    {"127.0.0.1%lo:7", NO_HOST},
    {"[::ffff:127.0.0.1%lo]:7", NO_HOST},
    {"[fe80::1%]:7", NO_HOST},
    {"[fe80::1%sixteen-letters-]:7", NO_HOST},
    {"[fe80::1]:7", NO_INTERFACE},
    {"[febf::1]:7/udp", NO_INTERFACE},
    {"224.0.0.1:7", NO_SINGLE_HOST},
    {"[ff02::1%lo]:7", NO_SINGLE_HOST},
    {"127.0.0.1:7/", NO_PROBE_END},
    {"127.0.0.1:7/tcp", NO_PROBE_END},
    {"127.0.0.1:7/udp/udp", NO_PROBE_END},
    {"127.0.0.1/udp:7", NO_PROBE_END},
};

TEST(what_cannot_be_probed_is_named)
{
    char line[128], error[256];

    for (size_t i = 0; i < ARRAY_LENGTH(no_probe); i++) {
        snprintf(line, sizeof line, "--probe=%s", no_probe[i][0]);
        snprintf(error, sizeof error, "--probe: '%s' %s", no_probe[i][0], no_probe[i][1]);
        expect_error(line, error);
    }
}

TEST(a_probe_is_given_alone)
{
    static const char *const wrong[] = {
        "--probe=[::1]:7 -v",
        "-v --probe=[::1]:7",
        "--probe [::1]:7 -v",
        "--port=none --probe [::1]:7",
        "--probe=[::1]:7 --probe=[::1]:7/udp",
        "--probe=[::1]:7 --",
    };

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        expect_error(wrong[i],
                     "--probe is given alone: it starts no server, and asks one in one way");
    expect_error("--probe=[::1]:7 word", "'word' is not an option");
    assert_true(options_of("--probe=[::1]:7 --help")->help);
    assert_true(options_of("--probe=[::1]:7 -V")->version);
}

TEST(an_echo_port_of_none_leaves_others)
{
    static const char no_port[] =
        "--port=none leaves no port: open one by --listen=raw:7 for instance";
    static const char no_bind[] =
        "--bind is for the echo port, and --port=none opens none: --listen=ROLE:ADDR:PORT has an "
        "address of its own";
    const struct options *options = options_of("--port=none --listen=raw:[::1]:7");

    assert_false(options->endpoint[0].tcp || options->endpoint[0].udp);
    assert_int_equal(options->endpoint_count, 2);
    options = options_of("--port=none --tcp-port=7 --bind=::1");
    assert_true(options->endpoint[0].tcp && !options->endpoint[0].udp);
    options = options_of("--port=none --udp-port=7 --bind=::1");
    assert_true(options->endpoint[0].udp && !options->endpoint[0].tcp);
    expect_error("--port=none", no_port);
    expect_error("--port=none --bind=::1", no_bind);
    expect_error("--port=none --bind=::1 --listen=raw:7", no_bind);
    expect_error("--port=none --listen=raw:[::1]:7 --bind=::1", no_bind);
}

TEST(the_log_level_goes_up_and_down_within_its_bounds)
{
    static const struct {
        const char *line;
        enum log_level level;
    } row[] = {
        {"-v", LOG_DETAIL},   {"-vv", LOG_DEBUG},
        {"-v -v", LOG_DEBUG}, {"-vvvv", LOG_DEBUG},
        {"-q", LOG_WARNING},  {"--verbose", LOG_DETAIL},
        {"-qq", LOG_ERROR},   {"-qqqq", LOG_ERROR},
        {"-qv", LOG_INFO},    {"--quiet --verbose", LOG_INFO},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        assert_int_equal(options_of(row[i].line)->log_level, row[i].level);
}

TEST(flags_and_words_are_taken)
{
    assert_true(options_of("--trigger=edge")->edge);
    assert_false(options_of("--trigger=edge --trigger=level")->edge);
    assert_string_equal(options_of("--shutdown-token-file=/x/y")->token_file, "/x/y");
    assert_true(options_of("-h")->help);
    assert_true(options_of("--help")->help);
    assert_true(options_of("-V")->version);
    assert_true(options_of("--vers")->version); // GNU style: as short as it is unambiguous
    assert_true(options_of("--help word --other")->help);
}

TEST(the_dscp_is_reflected_or_not)
{
    assert_false(options_of("")->dscp_reflect);
    assert_true(options_of("--dscp=reflect")->dscp_reflect);
    assert_false(options_of("--dscp=reflect --dscp=0")->dscp_reflect);
    expect_error("--dscp=1", "--dscp: '1' is neither reflect nor 0");
}

TEST(a_name_is_a_word)
{
    char line[300] = "--name=";

    assert_string_equal(options_of("--name=!~")->name, "!~");
    memset(line + 7, 'n', 255);
    assert_string_equal(options_of(line)->name, line + 7);
    line[7 + 255] = 'n';
    assert_false(parse(line));
    assert_non_null(strstr(parsed.error, "' has not 1 to 255 characters"));
    expect_error("--name=", "--name: '' has not 1 to 255 characters");
    static const char *const wrong[] = {"a\x7f", "\x1f", "b\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        snprintf(line, sizeof line, "--name=%s", wrong[i]);
        assert_false(parse(line));
        assert_non_null(strstr(parsed.error, "has a blank or what is not printable ASCII"));
    }
}

TEST(there_may_be_no_echo_port)
{
    assert_int_equal(options_of("--port=none --listen=raw:[::1]:7")->bind_count, 1);
    assert_false(parsed.options.endpoint[0].tcp || parsed.options.endpoint[0].udp);
    assert_true(options_of("--port=none --udp-port=7")->endpoint[0].udp);
    assert_false(parsed.options.endpoint[0].tcp);
    expect_error("--port=none",
                 "--port=none leaves no port: open one by --listen=raw:7 for instance");
    expect_error("--port=none --bind=::1 --listen=raw:7",
                 "--bind is for the echo port, and --port=none opens none: "
                 "--listen=ROLE:ADDR:PORT has an address of its own");
}

TEST(wrong_usage_is_named)
{
    static const char *const row[][2] = {
        {"--other", "unknown or ambiguous option '--other'"},
        {"--max", "unknown or ambiguous option '--max'"},
        {"-x", "unknown option '-x'"},
        {"-vx", "unknown option '-x'"},
        {"-xv", "unknown option '-x'"},
        {"--port", "'--port' needs a value"},
        {"-p", "'-p' needs a value"},
        {"--help=x", "--help takes no value"},
        {"--verbose=2", "--verbose takes no value"},
        {"word", "'word' is not an option"},
        {"-v word", "'word' is not an option"},
        {"-- word", "'word' is not an option"},
        {"-", "'-' is not an option"},
        {"--trigger=both", "--trigger: 'both' is neither level nor edge"},
        {"--trigger=", "--trigger: '' is neither level nor edge"},
        {"--shutdown-token-file=", "--shutdown-token-file: the value is empty"},
        {"--user=", "--user: the value is empty"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        expect_error(row[i][0], row[i][1]);
}

TEST(what_the_error_quotes_is_bounded)
{
    static const char *const begin[] = {"--", "--port=", "--bind=", "--trigger=", "--probe=", ""};
    char line[400];

    for (size_t i = 0; i < ARRAY_LENGTH(begin); i++) {
        snprintf(line, sizeof line, "%s%0380d", begin[i], 1);
        if (i == 1)
            line[strlen(line) - 1] = 'x'; // leading zeros alone are a number
        assert_false(parse(line));
        assert_true(strlen(parsed.error) < 160);
    }
}

TEST(help_names_every_option)
{
    static const char *const option[] = {
        "--bind=ADDR",   "--trigger=level|edge", "--shutdown-token-file=PATH",
        "-v, --verbose", "-q, --quiet",          "-h, --help",
        "-V, --version", "-p, --port=N",         "--max-tcp=N",
    };
    char room[4096], name[64];
    struct text help = text_in(room, sizeof room);

    options_help(&help);
    text_end(&help);
    assert_false(help.cut);
    for (const char *at = room; *at; at++)
        assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
    for (size_t i = 0; i < ARRAY_LENGTH(option); i++)
        assert_non_null(strstr(room, option[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        snprintf(name, sizeof name, "--%s=", numbers[i].name);
        assert_non_null(strstr(room, name));
    }
    assert_ptr_equal(strstr(room, "Usage: epoll-echo [OPTION]...\n"), room);
    assert_non_null(
        strstr(room, "\n\n  -p, --port=N|none                TCP and UDP port; 0 lets"));
    assert_non_null(strstr(room, "\n      --shutdown-token-file=PATH   the file"));
    assert_non_null(strstr(room, "See epoll-echo(8).\n"));
    for (char *line = strtok(room, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 110);
}
