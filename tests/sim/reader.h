// SPDX-License-Identifier: MIT
// reader: what standard error is, and how well its reader keeps up (kernel.log_stalled).
#pragma once

#include <stddef.h>

// Chooses a terminal, a pipe, a socket or a file, and whether it may be opened once more.
void reader_begin(void);

// fstat(2): the file's mode. open(2): a descriptor, or -errno.
unsigned reader_mode(void);

// The process that wrote has ended, in the midst of a line perhaps.
void reader_left(void);
long reader_open(const char *path);

// epoll_ctl(2), epoll_wait(2) for an instance that watches it and nothing else, write(2) and
// send(2): the result, or -errno.
long reader_watch(void);
long reader_wait(void);
long reader_write(int fd, const char *bytes, size_t length);
long reader_send(const char *bytes, size_t length, int flags);
