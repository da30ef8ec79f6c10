// SPDX-License-Identifier: MIT
// lines: messages over TCP connections that stay.
#pragma once

#include <stdint.h>

#include "line.h"
#include "traffic.h"

// NULL without memory.
struct traffic *lines_create(const struct settings *settings);

// What churn does in the same way with connections that do not stay.

// Sends what is owed, as far as it goes. What then is left waits for EPOLLOUT. May end LINE.
void lines_send(struct line *line);

// Reads what has come. Returns the time if something came, else 0. May end LINE.
uint64_t lines_read(struct line *line);
