// SPDX-License-Identifier: MIT
#include "unit.h"

#include "histogram.h"

enum { VALUES = 100000 };

static struct histogram histogram;

BEFORE_EACH
{
    histogram = (struct histogram){.total = 0};
}

static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};

static double distance(double difference)
{
    return difference < 0 ? -difference : difference;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

// The rank by exact arithmetic: SHARE is a number of ten-thousandths.
static uint64_t exact_percentile(const uint64_t *sorted, size_t count, double share)
{
    size_t parts = (size_t)(share * 10000 + 0.5);
    size_t rank = (count * parts + 9999) / 10000;

    return sorted[rank > 0 ? rank - 1 : 0];
}

static void check_against_sorted(uint64_t *values, size_t count)
{
    histogram = (struct histogram){.total = 0};
    for (size_t i = 0; i < count; i++)
        histogram_record(&histogram, values[i], 1);
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < ARRAY_LENGTH(shares); i++) {
        uint64_t exact = exact_percentile(values, count, shares[i]);
        uint64_t found = histogram_percentile(&histogram, shares[i]);

        assert_in_range(found, exact, exact + exact / 100);
    }
    assert_int_equal(histogram.max, values[count - 1]);
    assert_int_equal(histogram_percentile(&histogram, 1), values[count - 1]);
}

TEST(percentiles_within_one_percent)
{
    static uint64_t values[VALUES];
    uint64_t two[] = {5, 7000000}, same[] = {9, 9, 9, 9};
    struct chance chance = chance_start(4);

    // Widths from 6 to 41 bits: from a nanosecond to half an hour, evenly in the logarithm.
    for (size_t i = 0; i < VALUES; i++)
        values[i] = chance_next(&chance) >> (23 + chance_next(&chance) % 36);
    check_against_sorted(values, VALUES);
    for (size_t i = 0; i < VALUES; i++)
        values[i] = 1000 + chance_next(&chance) % 1000;
    check_against_sorted(values, VALUES);
    check_against_sorted(&(uint64_t){123456789}, 1);
    check_against_sorted(two, 2);
    check_against_sorted(same, 4);
}

TEST(every_bucket_edge)
{
    for (unsigned bit = 0; bit < HISTOGRAM_VALUE_BITS; bit++)
        for (int off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off;

            histogram = (struct histogram){.total = 0};
            histogram_record(&histogram, value, 1);
            histogram_record(&histogram, value * 2, 1); // so that the maximum does not help
            assert_in_range(histogram_percentile(&histogram, 0.5), value, value + value / 100);
        }
}

TEST(nothing_and_what_is_too_high)
{
    assert_int_equal(histogram_percentile(&histogram, 0.5), 0);
    assert_true(histogram_mean(&histogram) <= 0);
    assert_true(histogram_deviation(&histogram) <= 0);
    histogram_record(&histogram, UINT64_MAX / 2, 1); // is kept as the maximum
    assert_int_equal(histogram.total, 1);
    assert_int_equal(histogram_percentile(&histogram, 0.5), UINT64_MAX / 2);
}

TEST(rank_is_the_inverse_of_percentile)
{
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_record(&histogram, i * 1000, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(shares); i++) {
        uint64_t value = histogram_percentile(&histogram, shares[i]);

        assert_true((double)histogram_rank(&histogram, value) >= shares[i] * 1000 - 1e-6);
    }
    assert_int_equal(histogram_rank(&histogram, histogram.max), 1000);
}

TEST(many_alike_are_so_many_single_ones)
{
    static struct histogram many;

    for (int i = 0; i < 7; i++)
        histogram_record(&histogram, 123456, 1);
    histogram_record(&many, 123456, 7);
    assert_memory_equal(&histogram, &many, sizeof many);
}

TEST(mean_and_deviation)
{
    for (uint64_t i = 1; i <= 100; i++)
        histogram_record(&histogram, i, 1);
    assert_true(distance(histogram_mean(&histogram) - 50.5) < 1e-9);
    assert_true(distance(histogram_deviation(&histogram) - 28.866070) < 1e-5);
}

TEST(shares_grow_towards_one)
{
    assert_true(histogram_share(0) <= 0);
    assert_true(distance(histogram_share(5) - 0.5) < 1e-12);
    assert_true(distance(histogram_share(10) - 0.75) < 1e-12);
    for (unsigned step = 0; step < 200; step++) {
        assert_true(histogram_share(step) < histogram_share(step + 1));
        assert_true(histogram_share(step) < 1);
    }
}

TEST(what_came_since)
{
    static struct histogram earlier, difference;

    histogram_record(&histogram, 7000000, 2);
    earlier = histogram;
    histogram_record(&histogram, 50000, 3);
    histogram_subtract(&histogram, &earlier, &difference);
    assert_int_equal(difference.total, 3);
    assert_int_equal(difference.sum, 150000);
    assert_in_range(difference.max, 50000, 50400);
    assert_in_range(histogram_percentile(&difference, 0.5), 50000, 50400);
}

// Every value is in one row, and the rows follow each other.
TEST(rows_have_all_values)
{
    struct histogram_row rows[HISTOGRAM_ROWS];
    struct chance chance = chance_start(6);

    assert_int_equal(histogram_rows(&histogram, rows), 0);
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t seen = 0;

        histogram = (struct histogram){.total = 0};
        for (unsigned i = 0; i < 3000; i++)
            histogram_record(&histogram,
                             chance_next(&chance) >> (63 - chance_below(&chance, bits + 1)), 1);
        unsigned count = histogram_rows(&histogram, rows);
        assert_in_range(count, 1, HISTOGRAM_ROWS);
        for (unsigned i = 0; i < count; i++) {
            assert_true(i == 0 || rows[i].low == rows[i - 1].high);
            assert_true(i == 0 ||
                        rows[i].count == histogram_rank(&histogram, rows[i].high) - seen ||
                        i == count - 1);
            seen += rows[i].count;
        }
        assert_int_equal(seen, histogram.total);
        assert_int_equal(rows[count - 1].high, histogram.max);
    }
}
