// SPDX-License-Identifier: MIT
// Who is idle; the clock and what the kernel says of a connection (TCP_INFO) are answered here.
#include "unit.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "transport/conn.h"
#include "transport/crowd.h"

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct pool pool;
    struct port port;
    time_t seconds;
    uint32_t silent; // milliseconds
} test;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){.tv_sec = test.seconds};
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct tcp_info info = {.tcpi_last_data_sent = test.silent,
                            .tcpi_last_ack_recv = test.silent,
                            .tcpi_last_data_recv = test.silent};

    (void)fd;
    assert_int_equal(level, IPPROTO_TCP);
    assert_int_equal(name, TCP_INFO);
    memcpy(value, &info, *length < sizeof info ? *length : sizeof info);
    return 0;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

// A connection, and SECONDS later: whether it is still there.
static bool outlives(unsigned idle_timeout, time_t seconds)
{
    int ends[2];

    test.seconds = 1000;
    test.loop.now = 0;
    test.options = (struct options){.max_tcp = 10, .max_line = 100, .idle_timeout = idle_timeout};
    test.service = (struct service){.phase = PHASE_READY};
    assert_int_equal(loop_init(&test.loop, expire), 0);
    assert_true(pool_init(&test.pool, &test.loop, &test.options, &test.service));
    test.port = (struct port){.role = &role_echo, .pool = &test.pool};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    conn_open(&test.port, ends[0], &(struct address){.port = 1});
    test.seconds += seconds;
    test.loop.now = 0;
    crowd_expire(&test.pool, loop_now(&test.loop));
    bool left = test.service.counters.connected_tcp == 1;
    crowd_close(&test.pool, "the end");
    pool_finish(&test.pool);
    loop_finish(&test.loop);
    close(ends[1]);
    return left;
}

static void bytes_that_the_kernel_sends_are_bytes_too(void **state)
{
    static const struct {
        unsigned idle_timeout;
        uint32_t silent;
        bool left;
    } row[] = {
        {10, 0, true},
        {10, 9749, true},
        {10, 9750, false},
        {4294967, 4294966749, true},
        {4294967, 4294966750, false},
        // Beyond 32 bits the kernel's count begins anew, and says nothing any more.
        {4294968, 0, false},
        {31536000, 1000, false},
        {31536000, UINT32_MAX, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        test.silent = row[i].silent;
        assert_int_equal(outlives(row[i].idle_timeout, (time_t)row[i].idle_timeout + 1),
                         row[i].left);
        assert_true(outlives(row[i].idle_timeout, (time_t)row[i].idle_timeout - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_the_kernel_sends_are_bytes_too),
    };

    return cmocka_run_group_tests_name("crowd", tests, NULL, NULL);
}
