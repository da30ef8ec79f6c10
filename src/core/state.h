// SPDX-License-Identifier: MIT
// state: what a process leaves to the one that goes on after it, as bytes.
//
// A promise between versions: a header with a magic and a version, then records, each with its
// length in front. A number is little-endian, whatever the machine. A reader leaves out what it
// does not know at the end of a record, takes what a shorter one lacks for 0, and trusts nothing:
// whatever the bytes, it reads none beyond them. Only the meaning of what is there needs another
// version.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/budget.h"
#include "core/counters.h"
#include "core/gate.h"
#include "core/life.h"
#include "core/peers.h"
#include "core/turn.h"

enum { STATE_VERSION = 1, STATE_NAME_MAX_BYTES = 32, STATE_CONTROL_MAX_BYTES = 256 };

// What comes first: how many there are of each record, in this order.
struct state_header {
    uint64_t
        start; // of the loop, in nanoseconds of CLOCK_MONOTONIC: every time below counts from it
    uint32_t version;
    uint32_t ports, peers, datagrams, connections;
    uint64_t logged; // connections that the log has numbered
    uint32_t
        process; // of the descriptors that come with it, those behind the ports': see process.h
    struct counters counters;
    uint32_t wrong_count; // of tokens, and when the latest were: see gate.h
    ticks wrong[GUESSES_MAX];
    struct budget_kept budget;
};

struct state_port {
    char name[STATE_NAME_MAX_BYTES]; // of its duty, as --listen has it
    enum protocol protocol;
    struct address local;
    bool open; // its socket comes along; else only its connections do
    bool own;  // opened by the process itself, and not passed
    uint32_t lost;
};

// A delayed answer. The texts belong to the reader's bytes, here and below.
struct state_datagram {
    uint32_t port; // the number of its record
    uint64_t due;
    const char *to, *control, *bytes;
    uint32_t to_length, control_length, length;
};

#define STATE_BUSY UINT32_MAX // in place of a port: beyond --max-tcp

struct state_connection {
    uint32_t port;
    enum life life;
    enum closing closing; // or CLOSINGS
    enum outcome outcome;
    struct memory memory;
    uint32_t wait_ms;
    uint64_t due;                        // while it waits
    ticks idle_due;                      // TICKS_NEVER: never
    ticks line_due;                      // 0: no message has begun
    uint64_t number;                     // in the log; 0: none
    const char *header, *output, *input; // its PROXY header, unsent, not done
    uint32_t header_length, output_length, input_length;
};

// Bytes that are written: owned, freed by state_free. Without memory `failed` is set.
struct state_writer {
    char *bytes;
    size_t length, room;
    bool failed;
};

void state_free(struct state_writer *writer);

void state_write_header(struct state_writer *writer, const struct state_header *header);
void state_write_port(struct state_writer *writer, const struct state_port *port);
void state_write_peer(struct state_writer *writer, const struct peer_kept *peer);
void state_write_datagram(struct state_writer *writer, const struct state_datagram *datagram);
void state_write_connection(struct state_writer *writer, const struct state_connection *connection);

// Bytes that are read, and what is wrong with them: NULL as long as nothing is.
struct state_reader {
    const char *at;
    size_t left;
    const char *problem;
};

// Those that return a bool return false where reader->problem says what is wrong: with this record
// or one before it. Then nothing is to be made of *WHAT.

// Of another version than STATE_VERSION, no more than the version and the counts can be read.
bool state_read_header(struct state_reader *reader, struct state_header *header);
bool state_read_port(struct state_reader *reader, struct state_port *port);
bool state_read_peer(struct state_reader *reader, struct peer_kept *peer);
bool state_read_datagram(struct state_reader *reader, struct state_datagram *datagram);

// What is read stands as a connection of that life can: with output where it writes and nothing
// else, and so on.
bool state_read_connection(struct state_reader *reader, struct state_connection *connection);
