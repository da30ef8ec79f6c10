// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "system/net.h"

TEST(what_is_exhausted_is_told_from_what_fails_once)
{
    static const int exhausted[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    static const int other[] = {0, EAGAIN, EINTR, EPERM, ECONNABORTED, EADDRINUSE};

    for (size_t i = 0; i < ARRAY_LENGTH(exhausted); i++)
        assert_true(net_exhausted(exhausted[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(other); i++)
        assert_false(net_exhausted(other[i]));
}

TEST(what_is_no_socket_is_not_adopted)
{
    const char *call;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "getsockopt");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(net_adopt(ends[0], SOCK_STREAM, &call), -1);
    assert_string_equal(call, "fcntl");
}

// Without the kernel's word, silence is not believed to have been interrupted.
TEST(what_is_no_connection_has_been_silent_for_ever)
{
    assert_int_equal(net_silent_milliseconds(-1), UINT32_MAX);
}
