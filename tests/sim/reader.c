// SPDX-License-Identifier: MIT
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "fault.h"
#include "files.h"
#include "judge.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { LINE_MAX_BYTES = 4096 };

static struct {
    unsigned mode;
    bool closed_to_us;         // it may not be opened once more
    bool own;                  // and has been
    bool asked;                // and is writable, since the latest write
    char line[LINE_MAX_BYTES]; // that has been written in part
    size_t length;
} reader;

void reader_begin(void)
{
    static const unsigned mode[] = {S_IFCHR, S_IFIFO, S_IFSOCK, S_IFREG};

    memset(&reader, 0, sizeof reader);
    reader.mode = mode[between(0, 3)];
    reader.closed_to_us = one_in(4);
}

void reader_left(void)
{
    reader.length = 0;
}

unsigned reader_mode(void)
{
    return reader.mode;
}

int __wrap_isatty(int fd)
{
    enter();
    return (int)leave("isatty", fd, fd == STDERR_FILENO && reader.mode == S_IFCHR);
}

long reader_open(const char *path)
{
    must(reader.mode == S_IFIFO || reader.mode == S_IFCHR);
    if (reader.closed_to_us || strcmp(path, "/dev/tty") == 0)
        return -EACCES;
    int fd = files_open(FILE_LOG, NULL);
    return fd < 0 ? -EMFILE : fd;
}

int __wrap_dup2(int fd, int other)
{
    enter();
    must(files_kind(fd) == FILE_LOG && other == STDERR_FILENO);
    reader.own = true;
    return (int)leave("dup2", fd, other);
}

static bool waits(void)
{
    return kernel.log_stalled && reader.mode != S_IFREG;
}

long reader_watch(void)
{
    int error = fault_error(CALL_EPOLL_ADD, NULL);

    return reader.mode == S_IFREG ? -EPERM : -error;
}

long reader_wait(void)
{
    reader.asked = !waits();
    return reader.asked;
}

// Bytes as they come to whoever reads.
static void read_bytes(const char *bytes, size_t length)
{
    for (; length > 0; bytes++, length--) {
        if (reader.length == LINE_MAX_BYTES)
            fail("a line of log that is too long");
        reader.line[reader.length++] = *bytes;
        if (*bytes != '\n')
            continue;
        judge_log(reader.line, reader.length);
        reader.length = 0;
    }
}

// Only a pipe takes a line whole or not at all.
static long take(const char *bytes, size_t length)
{
    int error = fault_error(CALL_WRITE, NULL);

    if (!error && waits())
        error = EAGAIN;
    if (error)
        return -error;
    if (reader.mode != S_IFIFO && length > 1 && fault_short())
        length = between(1, length - 1);
    read_bytes(bytes, length);
    return (long)length;
}

long reader_write(int fd, const char *bytes, size_t length)
{
    must(fd == STDERR_FILENO);
    // Or the log would wait; where there was no memory to ask, nothing starts.
    must(reader.own || reader.mode == S_IFREG || reader.asked || !world.started);
    reader.asked = false;
    return take(bytes, length);
}

long reader_send(const char *bytes, size_t length, int flags)
{
    must(reader.mode == S_IFSOCK && flags == (MSG_DONTWAIT | MSG_NOSIGNAL));
    return take(bytes, length);
}
