// SPDX-License-Identifier: MIT
// lines: messages over one TCP connection, each flow's own or a new one for each message.
#ifndef LINES_H
#define LINES_H

#include <stddef.h>

#include "flow.h"
#include "settings.h"

extern const struct traffic lines_traffic; // the connection stays
extern const struct traffic churn_traffic; // connect, one message, close

// How many bytes of an unfinished reply a flow keeps: all to compare them, or some to show them.
size_t lines_reply_room(const struct settings *settings);

#endif
