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
// of what was inherited, a socket is sent to. Until then, and where that is not allowed, poll(2)
// tells whether a line may be written. That holds for pipes and files. False, with errno as open(2)
// left it: it is a terminal, which may take less than poll(2) promises, so writing to it may wait.
bool output_open(void);

// Tries for a last time to write what is missing.
void output_close(void);

// Writes LINE, at most OUTPUT_LINE_MAX_BYTES. False if nothing of it was written. What is missing
// of one that was written in part comes before anything else is.
bool output_line(const char *line, size_t length);
