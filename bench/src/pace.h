// SPDX-License-Identifier: MIT
// pace: what may be sent when. Nothing but numbers; the time is an argument.
//
// In the closed loop a message is sent as soon as an earlier one is answered, and its latency
// counts from then. In the open loop it has a time at which it is to be sent, whatever became of
// the earlier ones, and its latency counts from that time: what a stall holds up is not hidden.
// There the flows take turns: flow F of C has messages F, F + C, F + 2C and so on of all.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
    unsigned flows;    // that take turns
    double period;     // nanoseconds from one planned message to the next; 0: closed loop
    uint64_t started;  // the phase, in nanoseconds
    uint64_t end;      // when the phase stops beginning messages, or UINT64_MAX
    uint64_t messages; // so many may be begun in this phase …
    uint64_t begun;    // … and so many were
    bool stopped;      // no further ones
    uint64_t last;     // when the last one was begun
};

// Begins a phase at NOW that ends after DURATION, or never if that is 0, or with MESSAGES messages.
void pace_start(struct pace *pace, uint64_t now, uint64_t duration, uint64_t messages);

// How many messages FLOW may begin at NOW, of which it has begun BEGUN in this phase.
uint64_t pace_allowance(const struct pace *pace, unsigned flow, uint64_t begun, uint64_t now);

// From when the latency counts of message N of FLOW in this phase, if it is sent at NOW.
uint64_t pace_since(const struct pace *pace, unsigned flow, uint64_t n, uint64_t now);

// COUNT messages, no more than were allowed, have been begun at NOW.
void pace_count(struct pace *pace, uint64_t count, uint64_t now);

// The open loop: how many messages of all flows are due at NOW, and when the one after DUE is.
uint64_t pace_due(const struct pace *pace, uint64_t now);
uint64_t pace_next(const struct pace *pace, uint64_t due);

// The end of the time in which messages were begun, which rates count: the wait for what never
// comes is no part of it. OVER is when beginning them has ended, whatever for, and ANSWERED when
// the last answer came: until then, in a closed loop, it takes to get a number of messages through.
uint64_t pace_counted_until(const struct pace *pace, uint64_t answered, uint64_t over);

// The open loop: how many messages were due before OVER and were not begun.
uint64_t pace_unsent(const struct pace *pace, uint64_t over);
