// SPDX-License-Identifier: MIT
// payload: the messages that are sent, and how to know each of them again.
//
// A message is printable, begins with its sequence number and the number of its connection, goes
// on with letters that depend on both, and ends with LF. So a reply that is late, twice there, of
// another connection or changed in one byte is told apart. No message begins with '/', nor has it a
// space: a server will not take it for a command or an error message.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAYLOAD_SEQUENCE_BYTES = 6, // of 6 bits each: a thousand million messages a second for a minute
    PAYLOAD_STREAM_BYTES = 4,
    PAYLOAD_STAMP_BYTES = PAYLOAD_SEQUENCE_BYTES + PAYLOAD_STREAM_BYTES,
};

// Writes message SEQUENCE of connection STREAM into SIZE bytes, the LF included. A message shorter
// than stamp and LF has the beginning of it.
void payload_write(char *bytes, size_t size, uint32_t stream, uint64_t sequence);

// Whether BYTES are that message, to the last bit.
bool payload_matches(const char *bytes, size_t size, uint32_t stream, uint64_t sequence);

// Reads the stamp. False if there is none: too short, or other characters.
bool payload_read(const char *bytes, size_t size, uint32_t *stream, uint64_t *sequence);

// The length of a text at BYTES that is no message but something that a server has to say, such as
// "Server Busy": it has a space and, within LENGTH, an LF at its end. 0 if there is none.
size_t payload_refusal(const char *bytes, size_t length);
