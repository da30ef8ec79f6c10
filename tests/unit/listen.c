// SPDX-License-Identifier: MIT
// What is opened for a port whose role has one protocol alone, and what is told where that fails.
// net_open and duty_find are answered here.
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>

#include "ground/log.h"
#include "listen.h"
#include "system/net.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

static struct {
    struct loop loop;
    struct service service;
    struct options options;
    struct ports ports;
    struct role role; // `test`, beside those that there are
    int error;        // of net_open
    char remedy[100]; // that the log told last
} test;

struct duty __real_duty_find(const char *name, size_t length);
struct duty __wrap_duty_find(const char *name, size_t length)
{
    if (length == 4 && memcmp(name, "test", 4) == 0)
        return (struct duty){.role = &test.role};
    return __real_duty_find(name, length);
}

int __real_net_open(int type, const struct address *address, enum net_stack stack, unsigned backlog,
                    const char **call);
int __wrap_net_open(int type, const struct address *address, enum net_stack stack, unsigned backlog,
                    const char **call)
{
    if (test.error == 0)
        return __real_net_open(type, address, stack, backlog, call);
    *call = "bind";
    errno = test.error;
    return -1;
}

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    char room[LOG_VALUE_MAX];

    (void)level, (void)suppressed;
    *test.remedy = '\0';
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].key, "remedy") == 0 && log_value(&fields[i], room))
            snprintf(test.remedy, sizeof test.remedy, "%s", log_value(&fields[i], room));
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

static void begin(bool tcp, bool udp)
{
    memset(&test, 0, sizeof test);
    test.role = (struct role){.name = "test",
                              .admitted = true,
                              .stream = tcp ? role_echo.stream : NULL,
                              .datagram = udp ? role_echo.datagram : NULL};
    log_set_sink(note);
    assert_int_equal(loop_init(&test.loop, expire), 0);
    assert_true(ports_init(&test.ports, &test.loop, &test.options, &test.service));
}

BEFORE_EACH
{
    begin(true, true);
}

AFTER_EACH
{
    ports_finish(&test.ports, "the test is over");
    loop_finish(&test.loop);
    log_set_sink(NULL);
}

static void begin_again(bool tcp, bool udp)
{
    unit_after_each();
    begin(tcp, udp);
}

static void parse(const char *option)
{
    static char word[100]; // the options point into it
    char name[] = "epoll-echo", port[] = "--port=0", room[100];
    char *argv[] = {name, port, word, NULL};
    struct text error = text_in(room, sizeof room);

    snprintf(word, sizeof word, "%s", option);
    assert_true(options_parse(&test.options, 3, argv, &error));
}

// EXPECTED is "" if there is nothing wrong.
static void expect_checked(const char *option, const char *expected)
{
    char room[160];
    struct text error = text_in(room, sizeof room);

    parse(option);
    assert_int_equal(listen_check(&test.options, &error), *expected == '\0');
    assert_string_equal(text_end(&error), expected);
}

TEST(a_role_is_not_for_a_protocol_that_it_has_not)
{
    char room[256];
    struct text none = text_in(room, sizeof room);

    text_string(&none, "--listen: there is no role 'none', but there are ");
    duty_list(&none);
    text_string(&none, ", as in raw:7");
    expect_checked("--listen=none:0", text_end(&none));
    expect_checked("--listen=echo+proxy:0/udp", "--listen: a PROXY header is not for UDP: "
                                                "echo+proxy:PORT is for TCP alone");
    expect_checked("--listen=echo+proxy:0/tcp", "");
    expect_checked("--listen=echo+proxy:0", "");
    expect_checked("--listen=test:0/tcp", "");
    begin_again(true, false);
    expect_checked("--listen=test:0/tcp", "");
    expect_checked("--listen=test:0/udp", "--listen: the role test is not for UDP: test:PORT/tcp");
    expect_checked("--listen=test:0", "");
    begin_again(false, true);
    expect_checked("--listen=test:0/udp", "");
    expect_checked("--listen=test:0/tcp", "--listen: the role test is not for TCP: test:PORT/udp");
}

// Behind the two of the echo port, it is the third.
TEST(a_role_with_one_protocol_has_one_socket)
{
    struct passed none = {.flight = -1};
    struct handover nothing = {.arrival.socket = -1};

    for (int udp = 0; udp < 2; udp++) {
        begin_again(!udp, udp);
        parse("--listen=test:127.0.0.1:0");
        assert_int_equal(listen_open(&test.ports, &test.options, &none, &nothing), 0);
        assert_int_equal(test.ports.count, 3);
        assert_ptr_equal(test.ports.port[2].role, &test.role);
        assert_int_equal(test.ports.port[2].protocol, udp ? PROTOCOL_UDP : PROTOCOL_TCP);
        assert_int_not_equal(test.ports.port[2].local.port, 0);
    }
}

TEST(a_link_local_address_needs_its_interface)
{
    static const struct {
        const char *option;
        bool told;
    } row[] = {{"--bind=fe80::1", true}, {"--bind=fe80::1%1", false}, {"--bind=::1", false}};
    struct passed none = {.flight = -1};
    struct handover nothing = {.arrival.socket = -1};

    test.error = EINVAL;
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        parse(row[i].option);
        assert_int_equal(listen_open(&test.ports, &test.options, &none, &nothing), -1);
        assert_string_equal(test.remedy, row[i].told ? "a link-local address needs its interface, "
                                                       "as fe80::1%eth0"
                                                     : "");
    }
}
