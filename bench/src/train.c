// SPDX-License-Identifier: MIT
#include "train.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>

#include "ground/util.h"

unsigned train_most(size_t size)
{
    return (unsigned)size_min(TRAIN_MAX, TRAIN_MAX_BYTES / size);
}

int train_accept(int fd)
{
    int on = 1;

    return setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

int train_send(int fd, const char *bytes, size_t size, unsigned count)
{
    union train_control control = {.bytes = {0}};
    struct iovec all = {(char *)bytes, size * count};
    struct msghdr message = {.msg_iov = &all,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(sizeof(uint16_t))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    uint16_t step = (uint16_t)size;

    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof step);
    memcpy(CMSG_DATA(header), &step, sizeof step);
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

bool train_refused(int error)
{
    return error == EMSGSIZE || error == EINVAL || error == EIO;
}

size_t train_step(const struct msghdr *message, size_t length)
{
    const struct cmsghdr *at = CMSG_FIRSTHDR(message); // the only one that is asked for
    int step = 0;

    if (at && at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO)
        memcpy(&step, CMSG_DATA(at), sizeof step);
    return step > 0 ? (size_t)step : length;
}
