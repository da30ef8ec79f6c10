// SPDX-License-Identifier: MIT
// What the service manager is told, and when; sendto(2) and the loop's clock are answered here.
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/notify.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { BEGIN = 1000, BEAT_TICKS = 20 };

static struct {
    struct loop loop; // nothing but a clock
    struct notify notify;
    struct counters counters;
    char told[1000]; // all that was taken, but for numbers
    int error;       // of sendto,
    unsigned takes;  // which takes so many before it
    unsigned asked, failures;
} test;

ssize_t __wrap_sendto(int fd, const void *bytes, size_t length, int flags,
                      const struct sockaddr *address, socklen_t room)
{
    char key[20] = "";

    assert_true(fd == test.notify.fd && flags == MSG_NOSIGNAL && room == test.notify.length);
    assert_ptr_equal(address, &test.notify.manager);
    assert_int_equal(((const char *)bytes)[length - 1], '\n');
    test.asked++;
    if (test.takes == 0) {
        errno = test.error;
        return -1;
    }
    test.takes--;
    memcpy(key, bytes, size_min(sizeof key - 1, strcspn(bytes, "=")));
    strcat(strcat(test.told, " "), key);
    return (ssize_t)length;
}

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    (void)fields, (void)count, (void)suppressed;
    test.failures += level == LOG_WARNING;
    return true;
}

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void open_notify(const char *manager, const char *time, const char *pid)
{
    set("NOTIFY_SOCKET", manager);
    set("WATCHDOG_USEC", time);
    set("WATCHDOG_PID", pid);
    if (test.notify.fd > 0)
        notify_close(&test.notify);
    notify_open(&test.notify);
}

BEFORE_EACH
{
    memset(&test, 0, sizeof test);
    test.takes = UINT32_MAX;
    log_set_sink(note);
    open_notify("@manager", NULL, NULL);
}

AFTER_EACH
{
    notify_close(&test.notify);
    log_set_sink(NULL);
}

static void turn(ticks now, unsigned notices)
{
    test.loop.now = (uint64_t)now * TICK_MILLISECONDS * 1000000;
    notify_turn(&test.notify, &test.loop, &test.counters, notices);
}

static void expect_told(const char *keys)
{
    assert_string_equal(test.told, keys);
    *test.told = '\0';
}

TEST(a_manager_is_a_path_or_an_abstract_address)
{
    char longest[sizeof test.notify.manager.sun_path + 1];

    assert_memory_equal(test.notify.manager.sun_path, "\0manager", 9);
    assert_int_equal(test.notify.length, offsetof(struct sockaddr_un, sun_path) + 8);
    snprintf(longest, sizeof longest, "/%0*d", (int)sizeof longest - 3, 0);
    open_notify(longest, NULL, NULL);
    assert_string_equal(test.notify.manager.sun_path, longest);
    assert_int_equal(test.failures, 0);
    snprintf(longest, sizeof longest, "/%0*d", (int)sizeof longest - 2, 0);
    const char *wrong[] = {longest, "relative", "vsock:2:1234"};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        open_notify(wrong[i], "1000000", NULL);
        assert_int_equal(test.failures, i + 1);
        turn(BEGIN, NOTICE_READY);
        assert_int_equal(test.asked, 0);
        assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
    }
    open_notify("", NULL, NULL);
    open_notify(NULL, NULL, NULL);
    assert_int_equal(test.notify.fd, -1);
    assert_int_equal(test.failures, ARRAY_LENGTH(wrong));
}

TEST(the_watchdog_has_half_its_time_in_whole_ticks)
{
    char own[20];
    const struct {
        const char *time, *pid;
        ticks beat;
    } row[] = {
        {NULL, own, 0},
        {"0", NULL, 0},
        {"1", NULL, 1},
        {"999999", NULL, 1},
        {"1000000", NULL, 2},
        {"1000000", own, 2},
        {"1000000", "1", 0},
        {"1000000", "one", 0},
        {"1073741823499999", NULL, 2147483646},
        {"1073741823500000", NULL, 0}, // more ticks than can be waited for
        {"1000000000000000001", NULL, 0},
    };

    snprintf(own, sizeof own, "%d", getpid());
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        open_notify("@manager", row[i].time, row[i].pid);
        assert_int_equal(test.notify.beat, row[i].beat);
    }
}

TEST(notices_are_told_in_their_order)
{
    turn(BEGIN, NOTICE_STOPPING | NOTICE_READY | NOTICE_RELOADING);
    expect_told(" RELOADING READY STOPPING");
    turn(BEGIN, 0);
    expect_told("");
    assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
}

TEST(what_was_not_taken_is_told_later)
{
    static const char *const told[] = {"", " RELOADING", " RELOADING READY"};
    static const char *const left[] = {" RELOADING READY STOPPING", " READY STOPPING", " STOPPING"};

    test.error = EAGAIN;
    for (unsigned i = 0; i < ARRAY_LENGTH(told); i++) {
        test.takes = i;
        turn(BEGIN, NOTICE_STOPPING | NOTICE_READY | NOTICE_RELOADING);
        expect_told(told[i]);
        assert_int_equal(notify_next(&test.notify), BEGIN + 2);
        turn(BEGIN + 1, 0);
        test.takes = UINT32_MAX;
        turn(BEGIN + 2, 0);
        expect_told(left[i]);
        assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
        assert_int_equal(test.failures, i + 1);
    }
}

// Until it is left to when there is something else to tell.
TEST(a_manager_that_takes_nothing_is_asked_less_and_less_often)
{
    ticks now = BEGIN;

    test.takes = 0;
    test.error = EAGAIN;
    turn(now, NOTICE_READY);
    for (unsigned i = 1; i <= NOTIFY_TRIES_MAX; i++) {
        ticks next = notify_next(&test.notify);

        assert_int_equal(next - now, 1U << (i < NOTIFY_DOUBLINGS ? i : NOTIFY_DOUBLINGS));
        now = next;
        turn(now, 0);
        assert_int_equal(test.asked, i + 1);
    }
    assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
    assert_int_equal(test.failures, 1);
    test.takes = UINT32_MAX;
    turn(now + 10, NOTICE_STOPPING);
    expect_told(" READY STOPPING");
    assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
}

TEST(one_that_never_was_is_not_waited_for)
{
    test.takes = 0;
    test.error = ECONNREFUSED;
    turn(BEGIN, NOTICE_READY);
    assert_int_equal(notify_next(&test.notify), TICKS_NEVER);
    test.takes = 1;
    turn(BEGIN, NOTICE_READY);
    turn(BEGIN, NOTICE_RELOADING); // which has been there
    assert_int_equal(notify_next(&test.notify), BEGIN + 2);
}

TEST(statistics_are_told_when_they_change_and_so_often)
{
    turn(BEGIN, NOTICE_READY);
    turn(BEGIN, 0);
    expect_told(" READY");
    test.counters.connected_tcp = 1;
    test.takes = 0;
    test.error = EAGAIN;
    turn(BEGIN, 0);
    test.takes = UINT32_MAX;
    turn(BEGIN, 0);
    test.counters.active_udp_peers = 1;
    turn(BEGIN, 0);
    expect_told(" STATUS STATUS");
    for (int i = 0; i < 100; i++) {
        test.counters.total_clients++;
        turn(BEGIN, 0);
    }
    expect_told(" STATUS STATUS STATUS STATUS STATUS STATUS");
    for (ticks now = BEGIN + 1; now <= BEGIN + 3 * TICKS_PER_SECOND; now++) {
        test.counters.total_clients++;
        turn(now, 0);
    }
    expect_told(" STATUS STATUS STATUS");
    assert_int_equal(notify_next(&test.notify), TICKS_NEVER); // no timer runs for what is untold
}

// It is not told itself before that is.
TEST(a_change_is_an_occasion_to_tell_a_notice)
{
    test.takes = 0;
    test.error = EAGAIN;
    turn(BEGIN, NOTICE_READY);
    test.takes = UINT32_MAX;
    test.counters.total_clients = 1;
    turn(BEGIN + 1, 0);
    expect_told(" READY");
}

TEST(the_watchdog_is_told_at_once_and_then_when_it_is_due)
{
    open_notify("@manager", "10000000", NULL);
    turn(BEGIN, 0);
    expect_told("");
    turn(BEGIN, NOTICE_READY);
    expect_told(" READY WATCHDOG");
    assert_int_equal(notify_next(&test.notify), BEGIN + BEAT_TICKS);
    turn(BEGIN + BEAT_TICKS - 1, 0);
    expect_told("");
    turn(BEGIN + BEAT_TICKS, 0);
    expect_told(" WATCHDOG");
    test.takes = 0; // not a whole time later
    turn(BEGIN + 2 * BEAT_TICKS, NOTICE_RELOADING);
    assert_int_equal(notify_next(&test.notify), BEGIN + 2 * BEAT_TICKS + 1);
    test.takes = UINT32_MAX; // before the notice would be tried again
    turn(BEGIN + 2 * BEAT_TICKS + 1, 0);
    expect_told(" WATCHDOG RELOADING");
}
