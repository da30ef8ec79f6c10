// SPDX-License-Identifier: MIT
// Any bytes that a connection begins with: what is said of them does not depend on how they were
// cut, nothing beyond them is read, and a checksum holds for what it is of and for nothing else.
#include "fuzz.h"

#include "core/proxy.h"

enum { EACH_CUT = 128, CUTS = 8, V2_BYTES = 16, SEAL_BYTES = 7 };

static void must_be_within(const char *text, size_t length, const char *bytes, size_t end)
{
    fuzz_must(length == 0 || (text >= bytes && text + length <= bytes + end));
    for (size_t i = 0; i < length; i++)
        fuzz_must(text[i] >= 0x21 && text[i] <= 0x7e);
}

// The first LENGTH bytes, in a block of memory that ends with them.
static struct proxy_header parse(const char *given, size_t length)
{
    char *block = malloc(length + 1);
    struct proxy_header header;

    if (!block)
        abort();
    char *bytes = block + 1;
    memcpy(bytes, given, length);
    memset(&header, 0xff, sizeof header);
    proxy_parse(bytes, length, &header);
    fuzz_must(header.length <= length && header.length <= PROXY_MAX_BYTES);
    fuzz_must(header.length == 0 || !header.problem);
    fuzz_must(length < PROXY_MAX_BYTES || header.length > 0 || header.problem);
    fuzz_must(header.length > 0 || (!header.announced && !header.authority && !header.tls));
    fuzz_must(header.authority_length <= 255 && header.tls_length <= 15);
    must_be_within(header.authority, header.authority_length, bytes, header.length);
    must_be_within(header.tls, header.tls_length, bytes, header.length);
    free(block);
    return header;
}

static bool same_address(const struct address *a, const struct address *b)
{
    return memcmp(&a->ip, &b->ip, sizeof a->ip) == 0 && a->scope == b->scope && a->port == b->port;
}

static void must_say_the_same(const struct proxy_header *a, const struct proxy_header *b)
{
    fuzz_must(a->problem == b->problem && a->announced == b->announced);
    fuzz_must(same_address(&a->source, &b->source));
    fuzz_must(same_address(&a->destination, &b->destination));
    fuzz_must(a->authority_length == b->authority_length && a->tls_length == b->tls_length);
}

// What is said of the first bytes is that there are too few, or what is said of them all.
static void must_be_for_any_cut(const char *bytes, size_t size, const struct proxy_header *all)
{
    bool said = false;

    for (size_t length = 0; length < size; length += length < EACH_CUT ? 1 : 1 + size / CUTS) {
        struct proxy_header header = parse(bytes, length);

        fuzz_must(!said || header.length > 0 || header.problem);
        said = header.length > 0 || header.problem;
        fuzz_must((header.length > 0) == (all->length > 0 && length >= all->length));
        if (said)
            must_say_the_same(&header, all);
    }
    if (all->length > 0) {
        struct proxy_header before = parse(bytes, all->length - 1), at = parse(bytes, all->length);

        fuzz_must(before.length == 0 && !before.problem && at.length == all->length);
        must_say_the_same(&at, all);
    }
}

static uint32_t crc32c(const char *bytes, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t bit = 0; bit < 8 * length; bit++) {
        uint32_t next = (uint8_t)bytes[bit / 8] >> bit % 8 & 1;

        crc = crc >> 1 ^ ((crc ^ next) & 1) * 0x82f63b78;
    }
    return ~crc;
}

// A header of version 2 that has no checksum says the same with one, and nothing with another bit.
static void must_hold_with_a_checksum(const char *bytes, const struct proxy_header *header,
                                      size_t flip)
{
    static const char tlv[SEAL_BYTES] = {3, 0, 4};
    char sealed[PROXY_MAX_BYTES];
    size_t length = header->length + SEAL_BYTES;

    memcpy(sealed, bytes, header->length);
    memcpy(sealed + header->length, tlv, sizeof tlv);
    sealed[14] = (char)((length - V2_BYTES) >> 8);
    sealed[15] = (char)(length - V2_BYTES);
    uint32_t crc = crc32c(sealed, length);
    for (size_t i = 1; i <= sizeof crc; i++, crc >>= 8)
        sealed[length - i] = (char)crc;
    struct proxy_header with = parse(sealed, length);
    if (with.problem && strcmp(with.problem, "version 2, it has two checksums") == 0)
        return;
    fuzz_must(with.length == length);
    must_say_the_same(&with, header);
    flip %= 8 * (size_t)8; // of the addresses of IPv4, or of the first half of one of IPv6
    sealed[V2_BYTES + flip / 8] ^= (char)(1 << flip % 8);
    fuzz_must(parse(sealed, length).problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct proxy_header header = parse(bytes, size);

    must_be_for_any_cut(bytes, size, &header);
    if (header.announced && bytes[0] == '\r' && header.length + SEAL_BYTES <= PROXY_MAX_BYTES)
        must_hold_with_a_checksum(bytes, &header, data[size - 1]);
    return 0;
}
