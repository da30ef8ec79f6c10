// SPDX-License-Identifier: MIT
#include "unit.h"

#include "payload.h"

static const size_t sizes[] = {1, 2, 6, 10, 11, 12, 63, 64, 65, 138, 139, 4000, 65507};

TEST(a_message_is_a_line_that_matches_itself_alone)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        size_t size = sizes[i];
        char *bytes = malloc(size); // exact, so that a sanitizer sees every byte too many

        for (uint64_t sequence = 0; sequence < 200; sequence++) {
            payload_write(bytes, size, 3, sequence);
            assert_true(payload_matches(bytes, size, 3, sequence));
        }
        payload_write(bytes, size, 70000, 123456789);
        assert_ptr_equal(memchr(bytes, '\n', size), bytes + size - 1);
        for (size_t at = 0; at + 1 < size; at++)
            assert_true(bytes[at] > ' ' && bytes[at] <= 'z' && bytes[at] != '/');
        for (size_t at = 0; at < size && size < 65507; at++) {
            bytes[at] ^= 1;
            assert_false(payload_matches(bytes, size, 70000, 123456789));
            bytes[at] ^= 1;
        }
        free(bytes);
    }
}

TEST(other_messages_do_not_match)
{
    char bytes[64];

    payload_write(bytes, sizeof bytes, 5, 77);
    assert_false(payload_matches(bytes, sizeof bytes, 5, 78));
    assert_false(payload_matches(bytes, sizeof bytes, 5, 77 + 64));
    assert_false(payload_matches(bytes, sizeof bytes, 6, 77));
}

TEST(the_stamp_comes_back)
{
    const uint64_t sequences[] = {0, 1, 63, 64, 123456789, (UINT64_C(1) << 36) - 1};
    char bytes[PAYLOAD_STAMP_BYTES + 1];

    for (size_t i = 0; i < ARRAY_LENGTH(sequences); i++) {
        uint32_t stream = 0;
        uint64_t sequence = 0;

        payload_write(bytes, sizeof bytes, 999999, sequences[i]);
        assert_true(payload_read(bytes, sizeof bytes, &stream, &sequence));
        assert_int_equal(stream, 999999);
        assert_int_equal(sequence, sequences[i]);
    }
}

TEST(what_has_no_stamp)
{
    uint32_t stream;
    uint64_t sequence;

    assert_false(payload_read("abcdefghi\n", 10, &stream, &sequence)); // too short
    assert_false(payload_read("ERR datagram-truncated\n", 23, &stream, &sequence));
    assert_false(payload_read("abc\0efghijklmn\n", 15, &stream, &sequence));
    assert_false(payload_read("abcdefghi\n\n", 11, &stream, &sequence));
}
