// SPDX-License-Identifier: MIT
// life: what a TCP connection is in the midst of, and what follows. ARCHITECTURE.md shows the
// table.
#pragma once

#include <stdbool.h>

#include "core/turn.h"

enum life {
    LIFE_OPENING,  // waits for what a connection begins with: its PROXY header; nothing is unsent
    LIFE_READING,  // waits for input; nothing is unsent
    LIFE_WRITING,  // waits for room to send, for output or for another turn; is not read from
    LIFE_WAITING,  // waits for a time that the role has asked for; is not read from
    LIFE_FLUSHING, // owes nothing more; waits for the kernel to have sent all
    LIFE_GOODBYE,  // has sent FIN; waits for the client's end, and discards what comes
    LIFE_CLOSED,
    LIVES,
};

// How a connection stands when a step has been taken.
struct balance {
    enum outcome outcome; // of the latest turn; never TURN_FACTS
    bool opening;         // what the connection begins with has not come whole
    bool unsent;          // there is output that the kernel has not taken
    bool over;            // this server ends, and nothing has come that is to be answered
    bool due;             // the time has come
    bool flushed;         // the kernel has sent all
    bool ended;           // the client has sent FIN, and all before it has been read
};

enum life life_after(enum life life, const struct balance *balance);
