// SPDX-License-Identifier: MIT
#include "histogram.h"

#include <stdbool.h>

#include "ground/util.h"

// Values below 2 * HISTOGRAM_STEPS have a bucket each; above, each doubling makes them wider.
static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    if (value >> HISTOGRAM_VALUE_BITS)
        return HISTOGRAM_BUCKETS - 1;
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

// The highest value that falls into BUCKET.
static uint64_t top_of(unsigned bucket)
{
    if (bucket < 2 * HISTOGRAM_STEPS)
        return bucket;
    unsigned shift = bucket / HISTOGRAM_STEPS - 1;
    return ((uint64_t)(bucket - shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times)
{
    histogram->count[bucket_of(value)] += times;
    histogram->total += times;
    histogram->sum += value * times;
    if (value > histogram->max)
        histogram->max = value;
}

// SHARE of TOTAL, rounded up: the smallest rank that has the share. What floating point adds to a
// share such as 0.999 must not make it the next rank.
static uint64_t rank_of(double share, uint64_t total)
{
    double exact = share * (double)total;
    uint64_t rank = (uint64_t)exact;

    if (exact - (double)rank > 1e-9 * exact)
        rank++;
    return rank < 1 ? 1 : rank > total ? total : rank;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t rank = rank_of(share, histogram->total);
    uint64_t seen = 0;

    if (histogram->total == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->count[i];
        if (seen >= rank)
            return uint64_min(top_of(i), histogram->max);
    }
    return histogram->max;
}

uint64_t histogram_rank(const struct histogram *histogram, uint64_t value)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i <= bucket_of(value); i++)
        seen += histogram->count[i];
    return seen;
}

void histogram_subtract(const struct histogram *later, const struct histogram *earlier,
                        struct histogram *difference)
{
    *difference = (struct histogram){.total = later->total - earlier->total,
                                     .sum = later->sum - earlier->sum};
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        difference->count[i] = later->count[i] - earlier->count[i];
        if (difference->count[i] > 0)
            difference->max = uint64_min(top_of(i), later->max);
    }
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->total == 0 ? 0 : (double)histogram->sum / (double)histogram->total;
}

// Newton's method, from above: one root a run is not worth a second library.
static double square_root(double square)
{
    double root = square > 1 ? square : 1;
    double next = (root + square / root) / 2;

    while (next < root) {
        root = next;
        next = (root + square / root) / 2;
    }
    return root;
}

double histogram_deviation(const struct histogram *histogram)
{
    double mean = histogram_mean(histogram), squares = 0;

    if (histogram->total == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double distance = (double)uint64_min(top_of(i), histogram->max) - mean;

        squares += distance * distance * (double)histogram->count[i];
    }
    return square_root(squares / (double)histogram->total);
}

double histogram_share(unsigned step)
{
    double left = 1;

    for (unsigned half = 0; half < step / 5; half++)
        left /= 2;
    return 1 - left * (1 - (double)(step % 5) / 10);
}

unsigned histogram_rows(const struct histogram *histogram,
                        struct histogram_row rows[HISTOGRAM_ROWS])
{
    unsigned first = bucket_of(histogram_percentile(histogram, 0));
    unsigned tail = bucket_of(histogram_percentile(histogram, 0.999));
    unsigned step = (tail - first) / (HISTOGRAM_ROWS - 1) + 1, count = 0;
    uint64_t seen = 0, low = first > 0 ? top_of(first - 1) : 0;

    while (seen < histogram->total) {
        unsigned last = first + step * (count + 1) - 1;
        bool rest = last >= bucket_of(histogram->max) || count == HISTOGRAM_ROWS - 1;
        uint64_t high = rest ? histogram->max : top_of(last);
        uint64_t rank = rest ? histogram->total : histogram_rank(histogram, high);

        rows[count++] = (struct histogram_row){low, high, rank - seen};
        seen = rank;
        low = high;
    }
    return count;
}
