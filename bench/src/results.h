// SPDX-License-Identifier: MIT
// results: what a run has found out.
#ifndef RESULTS_H
#define RESULTS_H

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
    int64_t rss, pss;                // bytes that the idle connections added
    uint64_t wakeups;                // at rest …
    uint64_t rest_time;              // … in so many nanoseconds
    uint64_t energy_used;            // microjoules, the whole machine's
};

struct results {
    struct histogram latency; // nanoseconds; as many as there were messages
    uint64_t started, ended;  // the time in which messages were begun: nanoseconds, monotonic
    uint64_t own_cpu;         // nanoseconds
    uint64_t faults[FAULTS];
    char first_fault[FAULT_TEXT_MAX]; // printable; empty if there was none
    uint64_t unsent;                  // open loop: planned, but not sent in time
    uint64_t in_flight;               // messages without an answer when the run was interrupted
    bool interrupted;
    struct server_results server;
};

const char *fault_name(enum fault fault);

// Counts TIMES faults. The first one's text is kept, made printable.
void results_fault(struct results *results, enum fault fault, uint64_t times, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

uint64_t results_faults(const struct results *results);

// Whether there were messages at all, and all that were sent came back.
bool results_good(const struct results *results);

double results_seconds(const struct results *results);

// Forgets what was measured, as at the end of the warm-up; faults stay.
void results_restart(struct results *results);

// LENGTH bytes that a server sent, as much as fits into ROOM, made printable.
const char *results_sample(char *room, size_t room_length, const char *bytes, size_t length);

#endif
