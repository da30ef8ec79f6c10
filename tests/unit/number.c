// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/number.h"

TEST(a_number_is_digits_and_nothing_else)
{
    static const char *const wrong[] = {"",   " ",  " 1", "1 ",  "+1", "-1", "1x",
                                        "x1", "0x", "1.", "1\n", "1/", "1:", "\xb2"};
    uint64_t number = 7;

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_false(number_of(wrong[i], 100, &number));
    assert_int_equal(number, 7);
    assert_true(number_of("0123456789", NUMBER_MAXIMUM, &number));
    assert_int_equal(number, 123456789);
}

TEST(a_number_has_a_most)
{
    char zeros[200];
    uint64_t number;

    assert_true(number_of("0", 0, &number));
    assert_int_equal(number, 0);
    assert_false(number_of("1", 0, &number));
    assert_true(number_of("4294967296", 4294967296, &number));
    assert_int_equal(number, 4294967296);
    assert_false(number_of("4294967297", 4294967296, &number));
    assert_true(number_of("1000000000000000000", NUMBER_MAXIMUM, &number));
    // As many that a sum of 64 bits would come round.
    assert_false(number_of("18446744073709551617", NUMBER_MAXIMUM, &number));
    assert_false(number_of("184467440737095516170000000000000000001", 1, &number));
    memset(zeros, '0', sizeof zeros);
    strcpy(zeros + sizeof zeros - 2, "5");
    assert_true(number_of(zeros, 5, &number));
    assert_int_equal(number, 5);
}

TEST(no_more_is_looked_at_than_there_is)
{
    uint64_t number;

    assert_true(number_parse("12345", 2, 100, &number));
    assert_int_equal(number, 12);
    assert_false(number_parse("12345", 0, 100, &number));
}
