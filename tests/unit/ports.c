// SPDX-License-Identifier: MIT
// The listeners when no descriptor is left; accept4(2) and the clock are answered here.
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"
#include "transport/ports.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { MINUTE_SECONDS = 60, PERIODS = 10 };

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct ports ports;
    time_t seconds;
    unsigned refused, told;
} test;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    (void)fd, (void)address, (void)length, (void)flags;
    test.refused++;
    errno = EMFILE;
    return -1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){.tv_sec = test.seconds};
    return 0;
}

static bool count_warning(enum log_level level, const struct log_field *fields, size_t count,
                          uint64_t suppressed)
{
    (void)count, (void)suppressed;
    if (level == LOG_WARNING && strcmp(fields[0].text, "cannot accept, clients have to wait") == 0)
        test.told++;
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

// A client waits all the time, and accepting is tried again and again.
TEST(that_descriptors_have_run_out_is_told_once_a_minute)
{
    const char *call;
    struct address any = address_of_v4((struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
    int listening = net_open(SOCK_STREAM, &any, NET_ONE_FAMILY, 1, &call);
    struct address address = net_local(listening);
    struct sockaddr_storage storage;
    socklen_t length = address_store(&address, AF_INET, &storage);
    int client = socket(AF_INET, SOCK_STREAM, 0);

    test.seconds = 1000;
    test.options = (struct options){.max_tcp = 10, .max_line = 100};
    log_set_sink(count_warning);
    assert_int_equal(loop_init(&test.loop, expire), 0);
    assert_true(ports_init(&test.ports, &test.loop, &test.options, &test.service));
    assert_int_equal(ports_add(&test.ports, &role_echo, PROTOCOL_TCP, listening, true), 0);
    assert_int_equal(ports_serve(&test.ports), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&storage, length), 0);
    for (unsigned i = 0; i < PERIODS; i++) {
        // Some time within each period but the first, whose beginning is the first message.
        for (time_t second = 0; second <= MINUTE_SECONDS; second += MINUTE_SECONDS / 4) {
            assert_int_equal(loop_turn(&test.loop, true), 0);
            assert_int_equal(test.told, i + 1);
            test.seconds += second < MINUTE_SECONDS ? MINUTE_SECONDS / 4 : 1;
            test.loop.now = 0;
            ports_expire(&test.ports, loop_now(&test.loop)); // watches the listener again
        }
    }
    assert_int_equal(test.refused, PERIODS * 5);
    log_set_sink(NULL);
    ports_finish(&test.ports);
    loop_finish(&test.loop);
    close(client);
}
