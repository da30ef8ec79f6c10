// SPDX-License-Identifier: MIT
// io_uring(7): the kernel accepts by itself, and takes a buffer from a common stock only when there
// is something to read, so that an idle connection has none.
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "model.h"

enum { ENTRIES = 4096, BUFFERS = 4096, BUFFER_BYTES = 16384, GROUP = 0 };
enum operation { ACCEPT, RECEIVE, SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *stock;
static char *buffers;

// Everything that there is to know about a connection: what is under way, with which buffer.
static uint64_t pack(enum operation operation, int fd, unsigned buffer)
{
    return (uint64_t)operation << 60 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

static struct io_uring_sqe *next_entry(uint64_t data)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

    if (!entry) {
        io_uring_submit(&ring);
        entry = io_uring_get_sqe(&ring);
        model_check(entry ? 0 : -1, "io_uring_submit");
    }
    entry->user_data = data;
    return entry;
}

static void start_accept(int listener)
{
    uint64_t data = pack(ACCEPT, listener, 0);
    struct io_uring_sqe *entry = next_entry(data);

    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, 0);
    entry->user_data = data;
}

static void start_receive(int fd)
{
    uint64_t data = pack(RECEIVE, fd, 0);
    struct io_uring_sqe *entry = next_entry(data);

    io_uring_prep_recv(entry, fd, NULL, BUFFER_BYTES, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GROUP;
    entry->user_data = data;
}

// MSG_WAITALL: all of it, or the connection is lost.
static void start_send(int fd, unsigned buffer, int length)
{
    uint64_t data = pack(SEND, fd, buffer);
    struct io_uring_sqe *entry = next_entry(data);

    io_uring_prep_send(entry, fd, buffers + (size_t)buffer * BUFFER_BYTES, (size_t)length,
                       MSG_NOSIGNAL | MSG_WAITALL);
    entry->user_data = data;
}

static void give_back(unsigned buffer)
{
    io_uring_buf_ring_add(stock, buffers + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES,
                          (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(stock, 1);
}

static void handle(const struct io_uring_cqe *done)
{
    int fd = (int)(uint32_t)done->user_data;
    unsigned buffer = (unsigned)(done->user_data >> 32) & 0xffff;

    switch ((enum operation)(done->user_data >> 60)) {
    case ACCEPT:
        if (done->res >= 0)
            start_receive(done->res);
        if (!(done->flags & IORING_CQE_F_MORE))
            start_accept(fd);
        break;
    case RECEIVE:
        if (done->res <= 0 && (done->flags & IORING_CQE_F_BUFFER))
            give_back(done->flags >> IORING_CQE_BUFFER_SHIFT);
        if (done->res == -ENOBUFS)
            start_receive(fd); // the sends of this round give some back
        else if (done->res > 0)
            start_send(fd, done->flags >> IORING_CQE_BUFFER_SHIFT, done->res);
        else
            close(fd);
        break;
    case SEND:
        give_back(buffer);
        if (done->res > 0)
            start_receive(fd);
        else
            close(fd);
        break;
    }
}

static void set_up(void)
{
    struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                                  IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                         .cq_entries = 8 * ENTRIES};
    struct io_uring_buf_reg stock_at = {.ring_entries = BUFFERS, .bgid = GROUP};

    errno = -io_uring_queue_init_params(ENTRIES, &ring, &parameters);
    model_check(-errno, "io_uring_setup");
    if (posix_memalign((void **)&stock, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0)
        exit(EXIT_FAILURE);
    memset(stock, 0, BUFFERS * sizeof(struct io_uring_buf));
    stock_at.ring_addr = (uint64_t)(uintptr_t)stock;
    errno = -io_uring_register_buf_ring(&ring, &stock_at, 0);
    model_check(-errno, "io_uring_register");
    buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i);
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM);

    set_up();
    start_accept(listener);
    for (;;) {
        struct io_uring_cqe *done;
        unsigned head, count = 0;

        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, done)
        {
            handle(done);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}
