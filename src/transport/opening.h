// SPDX-License-Identifier: MIT
// opening: the PROXY header that a connection begins with, on a port that wants one, and what it
// tells. It comes before the role's first turn, and no role sees it.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "transport/connection.h"

// Reads the header that the LENGTH BYTES begin with, ENDED: nothing follows them. Returns the
// header's length; 0 if it is not whole yet, or nothing came at all; or -1 if CONN is to be closed:
// it has been counted and logged why. What is announced is kept in conn->held.
ssize_t opening_read(struct conn *conn, const char *bytes, size_t length, bool ended);

// Counts and logs that there is no right header, because of REASON.
void opening_refuse(const struct conn *conn, const char *reason);

// What may be told to the client, as its header has announced it if there is one.
struct facts opening_facts(const struct conn *conn);
