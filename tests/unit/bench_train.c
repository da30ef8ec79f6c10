// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>

#include "train.h"

enum { SEGMENT = 103, GRO = 104 };

// What was sent.
static struct {
    char control[64];
    size_t controls, bytes;
    int flags, error;
} sent;

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    (void)fd;
    assert_int_equal(message->msg_iovlen, 1);
    assert_true(message->msg_controllen <= sizeof sent.control);
    memcpy(sent.control, message->msg_control, message->msg_controllen);
    sent.controls = message->msg_controllen;
    sent.bytes = message->msg_iov->iov_len;
    sent.flags = flags;
    errno = sent.error;
    return sent.error ? -1 : (ssize_t)sent.bytes;
}

BEFORE_EACH
{
    sent.error = 0;
}

// A control message of LENGTH bytes at VALUE.
static struct msghdr with(union train_control *control, int level, int type, const void *value,
                          size_t length)
{
    struct msghdr message = {.msg_control = control->bytes, .msg_controllen = CMSG_SPACE(length)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    *header =
        (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(length)};
    memcpy(CMSG_DATA(header), value, length);
    return message;
}

TEST(no_more_than_the_kernel_takes)
{
    static const struct {
        size_t size;
        unsigned most;
    } rows[] = {{1, 64},    {64, 64},   {1023, 64}, {1024, 63},
                {1472, 44}, {32753, 2}, {32754, 1}, {65507, 1}};

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(train_most(rows[i].size), rows[i].most);
        assert_true(rows[i].most * rows[i].size <= 65507);
    }
}

TEST(a_train_is_one_message_that_tells_its_parts)
{
    static const char bytes[44 * 1472];

    assert_int_equal(train_send(7, bytes, 1472, 44), 0);
    assert_int_equal(sent.bytes, sizeof bytes);
    assert_int_equal(sent.flags, MSG_DONTWAIT | MSG_NOSIGNAL);
    struct msghdr message = {.msg_control = sent.control, .msg_controllen = sent.controls};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    uint16_t step;
    assert_int_equal(header->cmsg_level, IPPROTO_UDP);
    assert_int_equal(header->cmsg_type, SEGMENT);
    assert_int_equal(header->cmsg_len, CMSG_LEN(sizeof step));
    memcpy(&step, CMSG_DATA(header), sizeof step);
    assert_int_equal(step, 1472);
    assert_null(CMSG_NXTHDR(&message, header));
}

TEST(what_cannot_be_sent)
{
    static const int refused[] = {EMSGSIZE, EINVAL, EIO}, other[] = {EAGAIN, ECONNREFUSED, ENOBUFS};

    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        sent.error = refused[i];
        assert_int_equal(train_send(7, "ab", 1, 2), -1);
        assert_int_equal(errno, refused[i]);
        assert_true(train_refused(refused[i]));
        assert_false(train_refused(other[i]));
    }
}

TEST(the_parts_of_what_has_come)
{
    union train_control control = {.bytes = {0}};
    int step = 1472;
    struct msghdr message = with(&control, IPPROTO_UDP, GRO, &step, sizeof step);

    assert_int_equal(train_step(&message, 14720), 1472);
    step = 0;
    message = with(&control, IPPROTO_UDP, GRO, &step, sizeof step);
    assert_int_equal(train_step(&message, 14720), 14720);
}

TEST(what_is_no_train)
{
    union train_control control = {.bytes = {0}};
    struct msghdr none = {.msg_control = NULL};
    int step = 5;
    struct msghdr other = with(&control, SOL_SOCKET, GRO, &step, sizeof step);

    assert_int_equal(train_step(&none, 100), 100);
    assert_int_equal(train_step(&none, 0), 0);
    assert_int_equal(train_step(&other, 100), 100);
    other = with(&control, IPPROTO_UDP, SEGMENT, &step, sizeof step);
    assert_int_equal(train_step(&other, 100), 100);
}
