// SPDX-License-Identifier: MIT
#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enter.h"
#include "fault.h"
#include "files.h"
#include "judge.h"
#include "world.h"
#include "wrap.h"

enum { LINE_MAX_BYTES = 4096 };

static struct {
    unsigned mode;
    bool stalled, closed_to_us; // it may not be opened once more
    bool own;                   // and has been
    bool polled;                // and is writable, since the latest write
    char line[LINE_MAX_BYTES];  // that has been written in part
    size_t length;
} reader;

void reader_begin(void)
{
    static const unsigned mode[] = {S_IFCHR, S_IFIFO, S_IFSOCK, S_IFREG};

    memset(&reader, 0, sizeof reader);
    reader.mode = mode[chance_between(&world.chance, 0, 3)];
    reader.closed_to_us = chance_one_in(&world.chance, 4);
}

void reader_stall(bool stalled)
{
    reader.stalled = stalled;
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
    if (reader.mode == S_IFREG || reader.mode == S_IFSOCK)
        fail("a socket or a file is opened once more");
    if (reader.closed_to_us || strcmp(path, "/dev/tty") == 0)
        return -EACCES;
    int fd = files_open(FILE_LOG, NULL);
    return fd < 0 ? -EMFILE : fd;
}

int __wrap_dup2(int fd, int other)
{
    enter();
    if (files_kind(fd) != FILE_LOG || other != STDERR_FILENO)
        fail("dup2 of descriptor %d", fd);
    reader.own = true;
    return (int)leave("dup2", fd, other);
}

static bool waits(void)
{
    return reader.stalled && reader.mode != S_IFREG;
}

long reader_poll(int fd)
{
    if (fd != STDERR_FILENO)
        fail("poll of something else than standard error");
    int error = fault_error(CALL_POLL, NULL);
    reader.polled = !error && !waits();
    return error ? -error : reader.polled;
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
        length = chance_between(&world.chance, 1, length - 1);
    read_bytes(bytes, length);
    return (long)length;
}

long reader_write(int fd, const char *bytes, size_t length)
{
    if (fd != STDERR_FILENO)
        fail("write to descriptor %d", fd);
    if (!reader.own && reader.mode != S_IFREG && !reader.polled)
        fail("the log waits for its reader");
    reader.polled = false;
    return take(bytes, length);
}

long reader_send(const char *bytes, size_t length, int flags)
{
    if (reader.mode != S_IFSOCK || flags != (MSG_DONTWAIT | MSG_NOSIGNAL))
        fail("send to standard error with flags %d", flags);
    return take(bytes, length);
}
