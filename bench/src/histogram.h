// SPDX-License-Identifier: MIT
// histogram: counts of values in log-linear buckets, in the manner of HdrHistogram.
//
// Each power of two is cut into as many equal buckets, so that a bucket is never wider than 1/128
// of its values: what is read from it is at most 0.8 % too high and never too low. Recording is a
// shift and an addition; memory does not grow.
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 7,
    HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS, // in each power of two
    HISTOGRAM_VALUE_BITS = 42,                  // 73 minutes in nanoseconds; more counts as that
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS,
};

// All zero is empty.
struct histogram {
    uint64_t total, sum;
    uint64_t max; // exact
    uint64_t count[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times);

// The least value that at least SHARE (from 0 to 1) of all values do not exceed; 0 if empty.
uint64_t histogram_percentile(const struct histogram *histogram, double share);

// How many values do not exceed VALUE, one that histogram_percentile returned.
uint64_t histogram_rank(const struct histogram *histogram, uint64_t value);

// DIFFERENCE is what was recorded in LATER since it was as EARLIER is; its maximum is the highest
// value of its bucket.
void histogram_subtract(const struct histogram *later, const struct histogram *earlier,
                        struct histogram *difference);

double histogram_mean(const struct histogram *histogram);

// The standard deviation, from the buckets; 0 if empty.
double histogram_deviation(const struct histogram *histogram);

// The shares at which HdrHistogram prints: each half of what is left, in five equal steps.
// 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, … and never 1.
double histogram_share(unsigned step);

enum { HISTOGRAM_ROWS = 9 };

// Rows of buckets for a picture, the first from the least value on and each as wide as the others
// in the logarithm, but for the last, in which is what is slower than all but a thousandth.
struct histogram_row {
    uint64_t low, high; // its values are above LOW and not above HIGH
    uint64_t count;
};

// The number of rows, 0 if HISTOGRAM is empty.
unsigned histogram_rows(const struct histogram *histogram,
                        struct histogram_row rows[HISTOGRAM_ROWS]);
