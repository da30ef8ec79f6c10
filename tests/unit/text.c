// SPDX-License-Identifier: MIT
#include "unit.h"

#include "ground/text.h"

TEST(texts_follow_each_other)
{
    char room[32];
    struct text text = text_in(room, sizeof room);

    text_bytes(&text, "a\0b", 3);
    text_string(&text, "-cd");
    text_format(&text, "-%d", 42);
    assert_int_equal(text.length, 9);
    assert_memory_equal(text.bytes, "a\0b-cd-42", 9);
    assert_false(text.cut);
}

TEST(what_does_not_fit_is_cut_off_and_remembered)
{
    char room[4];
    struct text text = text_in(room, sizeof room);

    text_string(&text, "abc");
    text_string(&text, "de");
    assert_bytes(text.bytes, text.length, "abcd");
    assert_true(text.cut);
    text_string(&text, "f");
    assert_bytes(text.bytes, text.length, "abcd");
    text_string(&text, ""); // which fits
    assert_true(text.cut);
}

TEST(what_just_fits_is_not_cut)
{
    char room[4];
    struct text text = text_in(room, sizeof room), none = text_in(NULL, 0);

    text_string(&text, "abcd");
    text_bytes(&text, "", 0);
    assert_bytes(text.bytes, text.length, "abcd");
    assert_false(text.cut);
    text_bytes(&none, NULL, 0);
    assert_false(none.cut);
    text_string(&none, "a");
    assert_true(none.cut);
    assert_int_equal(none.length, 0);
}

TEST(a_piece_longer_than_any_is_left_out_whole)
{
    char room[1024];
    struct text text = text_in(room, sizeof room);

    text_format(&text, "%255s", "");
    assert_int_equal(text.length, 255);
    assert_false(text.cut);
    text_format(&text, "%256s", "");
    assert_int_equal(text.length, 255);
    assert_true(text.cut);
}

TEST(times_are_rfc_3339_with_as_many_decimals_as_asked)
{
    static const struct {
        struct timespec time;
        int digits;
        const char *written;
    } row[] = {
        {{1795226463, 123456789}, 9, "2026-11-21T02:01:03.123456789Z"},
        {{1795226463, 123456789}, 3, "2026-11-21T02:01:03.123Z"},
        {{0, 999999999}, 1, "1970-01-01T00:00:00.9Z"},
        {{951782399, 1}, 9, "2000-02-28T23:59:59.000000001Z"},
        {{951782400, 10}, 9, "2000-02-29T00:00:00.000000010Z"},
        {{4102444800, 0}, 9, "2100-01-01T00:00:00.000000000Z"},
        {{INT64_MAX, 0}, 9, ""}, // there is no such year
    };
    char room[64];

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct text text = text_in(room, sizeof room);

        text_time(&text, row[i].time, row[i].digits);
        assert_bytes(text.bytes, text.length, row[i].written);
    }
}

TEST(the_end_is_a_nul_within_the_room)
{
    char room[4];
    struct text text = text_in(room, sizeof room);

    text_string(&text, "abc");
    assert_string_equal(text_end(&text), "abc");
    assert_false(text.cut);
    text_string(&text, "d");
    assert_string_equal(text_end(&text), "abc");
    assert_true(text.cut);
}
