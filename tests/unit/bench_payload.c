// SPDX-License-Identifier: MIT
#include "unit.h"

#include "ground/util.h"
#include "payload.h"

static const size_t sizes[] = {1, 2, 6, 10, 11, 12, 63, 64, 65, 138, 139, 4000, 65507};

// Buffers of the exact size, so that a sanitizer sees every byte too many.
static char *make(size_t size, uint32_t stream, uint64_t sequence)
{
    char *bytes = malloc(size);

    payload_write(bytes, size, stream, sequence);
    return bytes;
}

TEST(a_message_is_a_line)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        char *bytes = make(sizes[i], 70000, 123456789);

        assert_ptr_equal(memchr(bytes, '\n', sizes[i]), bytes + sizes[i] - 1);
        for (size_t at = 0; at + 1 < sizes[i]; at++)
            assert_true(bytes[at] > ' ' && bytes[at] <= 'z' && bytes[at] != '/');
        free(bytes);
    }
}

TEST(it_matches_itself)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
        for (uint64_t sequence = 0; sequence < 200; sequence++) {
            char *bytes = make(sizes[i], 3, sequence);

            assert_true(payload_matches(bytes, sizes[i], 3, sequence));
            free(bytes);
        }
}

TEST(every_changed_byte_shows)
{
    for (size_t i = 0; i < ARRAY_LENGTH(sizes) - 1; i++) {
        char *bytes = make(sizes[i], 5, 77);

        for (size_t at = 0; at < sizes[i]; at++) {
            bytes[at] ^= 1;
            assert_false(payload_matches(bytes, sizes[i], 5, 77));
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

TEST(a_refusal_is_a_text_with_a_space)
{
    char message[100];

    assert_int_equal(payload_refusal("Server Busy\nmore", 16), 11);
    assert_int_equal(payload_refusal("ERR too-long-line\r\n", 19), 18);
    assert_int_equal(payload_refusal("Server Busy\n", 11), 0); // there is more of it to come
    assert_int_equal(payload_refusal("Sorry\n", 6), 0);
    assert_int_equal(payload_refusal("", 0), 0);
    for (unsigned i = 0; i < 200; i++) {
        payload_write(message, sizeof message, i, i * 77);
        assert_int_equal(payload_refusal(message, sizeof message), 0);
    }
}
