// SPDX-License-Identifier: MIT
#include "transport/delayed.h"

#include <stdlib.h>
#include <string.h>

#include "ground/util.h"

static struct delayed *delayed_of(struct delay *delay)
{
    return container_of(delay, struct delayed, delay);
}

static void take_out(struct delayed_all *all, struct delayed *delayed)
{
    delays_remove(&all->delays, &delayed->delay);
    all->bytes -= delayed->length;
}

void delayed_finish(struct delayed_all *all)
{
    struct delayed *delayed;

    while ((delayed = delayed_take(all, DELAYS_NEVER)))
        free(delayed);
    delays_finish(&all->delays);
}

static bool full(const struct delayed_all *all, size_t length)
{
    return all->delays.count >= DELAYED_MAX || all->bytes + length > DELAYED_MAX_BYTES;
}

static struct delayed *copy(struct port *port, const struct msghdr *message)
{
    const struct iovec *answer = message->msg_iov;
    struct delayed *delayed = malloc(sizeof *delayed + message->msg_controllen + answer->iov_len);

    if (!delayed)
        return NULL;
    *delayed = (struct delayed){.port = port,
                                .to_length = message->msg_namelen,
                                .control_length = (socklen_t)message->msg_controllen,
                                .length = answer->iov_len};
    memcpy(&delayed->to, message->msg_name, message->msg_namelen);
    memcpy(delayed->bytes, message->msg_control, message->msg_controllen);
    memcpy(delayed->bytes + delayed->control_length, answer->iov_base, answer->iov_len);
    return delayed;
}

unsigned delayed_keep(struct delayed_all *all, struct port *port, const struct msghdr *message,
                      uint64_t due)
{
    size_t length = message->msg_iov->iov_len;
    unsigned dropped = 0;

    for (; full(all, length); dropped++) {
        struct delay *last = delays_last(&all->delays);

        if (!last || last->due <= due)
            return dropped + 1;
        take_out(all, delayed_of(last));
        free(delayed_of(last));
    }
    struct delayed *delayed = copy(port, message);
    if (!delayed || !delays_add(&all->delays, &delayed->delay, due)) {
        free(delayed);
        return dropped + 1;
    }
    all->bytes += length;
    return dropped;
}

struct delayed *delayed_take(struct delayed_all *all, uint64_t now)
{
    struct delay *delay = delays_due(&all->delays, now);

    if (!delay)
        return NULL;
    take_out(all, delayed_of(delay));
    return delayed_of(delay);
}
