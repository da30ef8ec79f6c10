// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/net.h"

static void what_is_exhausted_is_told_from_what_fails_once(void **state)
{
    static const int exhausted[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    static const int other[] = {0, EAGAIN, EINTR, EPERM, ECONNABORTED, EADDRINUSE};

    (void)state;
    for (size_t i = 0; i < sizeof exhausted / sizeof exhausted[0]; i++)
        assert_true(net_exhausted(exhausted[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(net_exhausted(other[i]));
}

static void what_is_no_socket_is_not_adopted(void **state)
{
    const char *call;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "getsockopt");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "fcntl");
}

// Without the kernel's word, silence is not believed to have been interrupted.
static void what_is_no_connection_has_been_silent_for_ever(void **state)
{
    (void)state;
    assert_int_equal(net_silent_milliseconds(-1), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_exhausted_is_told_from_what_fails_once),
        cmocka_unit_test(what_is_no_socket_is_not_adopted),
        cmocka_unit_test(what_is_no_connection_has_been_silent_for_ever),
    };

    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
