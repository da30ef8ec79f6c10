// SPDX-License-Identifier: MIT
// results: what a run has found out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

enum fault {
    FAULT_CONNECT,    // a connection that could not be made
    FAULT_CLOSED,     // a connection that the server ended
    FAULT_REFUSED,    // a reply that says something else, as it seems why there is none
    FAULT_CORRUPT,    // a reply that is not the message
    FAULT_REORDERED,  // a reply that is another message's
    FAULT_LOST,       // a message without a reply
    FAULT_UNEXPECTED, // a reply that nothing was sent for: late, or twice there
    FAULTS,
};

enum { FAULT_TEXT_MAX = 160 };

struct server_results {
    bool cost, memory, rest, energy; // which of these could be measured
    uint64_t cpu;                    // nanoseconds
    uint64_t switches;               // context switches
    unsigned idle;                   // connections
    int64_t rss, pss;                // bytes that these added
    uint64_t wakeups;                // at rest …
    uint64_t rest_time;              // … in so many nanoseconds
    uint64_t energy_used;            // microjoules, the whole machine's
};

// A part of a run. Only so many are kept: the beginning of a run that takes longer.
enum { INTERVALS_MAX = 1024 };

struct interval {
    uint64_t began, ended;  // nanoseconds since the start
    uint64_t messages;      // that were answered
    uint64_t p50, p99, max; // nanoseconds of latency, all three as exact as percentiles are
};

// What all programs did while the run lasted: nanoseconds of all cores together.
struct machine_results {
    bool known;
    uint64_t busy;   // a program ran
    uint64_t stolen; // the host had the core
};

struct results {
    struct histogram latency;  // nanoseconds; as many as there were messages
    struct histogram lateness; // open loop: nanoseconds that messages were begun late of our own
    struct histogram before;   // the latencies as they were when the interval under way began
    struct interval intervals[INTERVALS_MAX];
    unsigned interval_count;
    uint64_t started, ended; // the time in which messages were begun: nanoseconds, monotonic, and
                             // of several turns moved together
    unsigned turns;          // that were taken, if the run went by turns
    uint64_t own_cpu;        // nanoseconds …
    uint64_t wall;           // … of so many that the run took, the wait for answers included
    uint64_t faults[FAULTS];
    char first_fault[FAULT_TEXT_MAX]; // printable; empty if there was none
    uint64_t planned, unsent;         // open loop: messages due, and those of them not sent in time
    uint64_t in_flight;               // messages without an answer when the run was interrupted
    int train_error; // with which the kernel refused datagrams in trains; 0: it did not
    bool interrupted;
    struct server_results server;
    struct machine_results machine;
};

const char *fault_name(enum fault fault);

// Counts TIMES faults. The first one's text is kept, made printable.
void results_fault(struct results *results, enum fault fault, uint64_t times, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

uint64_t results_faults(const struct results *results);

// Whether there were messages, none is still in flight, and at least 99 % of what was planned was
// sent.
bool results_complete(const struct results *results);

double results_seconds(const struct results *results);

// The part of all cores that others took than this process and the server, if that is known.
double results_others(const struct results *results);

// The part of what was planned that was sent: 1 in a closed loop.
double results_sent(const struct results *results);

// Forgets what was measured, as at the end of the warm-up; faults stay.
void results_restart(struct results *results);

// LENGTH bytes that a server sent, as much as fits into ROOM, made printable.
const char *results_sample(char *room, size_t room_length, const char *bytes, size_t length);

// Ends at NOW the interval under way, which is returned.
const struct interval *results_cut(struct results *results, uint64_t now);
