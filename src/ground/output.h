// SPDX-License-Identifier: MIT
// output: standard error, written a line whole or not at all, and without waiting for its reader.
//
// Standard error is shared with whoever started the process: O_NONBLOCK is not ours to set there.
// What of it is the process's own is all of the mutable global state here.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// At most PIPE_BUF: a pipe takes as much whole, or nothing of it.
enum { OUTPUT_LINE_MAX_BYTES = 4096 };

// Makes writing independent of the reader: a terminal and a pipe are opened once more in the place
// of what was inherited, a socket is sent to. Where that is not allowed, an epoll instance tells
// whether a line may be written, which it does for a pipe. False, with errno as open(2) left it:
// it is a terminal, which may take less than that promises, or there is no such instance, so
// writing to it may wait. So it may before, for what stands in the way of the start.
bool output_open(void);

// Tries for a last time to write what is missing.
void output_close(void);

// Writes LINE, at most OUTPUT_LINE_MAX_BYTES. False if nothing of it was written. What is missing
// of one that was written in part comes before anything else is.
bool output_line(const char *line, size_t length);
