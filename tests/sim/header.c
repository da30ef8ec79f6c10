// SPDX-License-Identifier: MIT
#include "header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "netsock.h"
#include "world.h"

enum {
    TEXT_START_BYTES = 6, // "PROXY "
    TEXT_WITHOUT_END = 106,
    START_BYTES = 12, // of version 2, and where the parts of the rest are
    VERSION_AT = 12,
    FAMILY_AT,
    LENGTH_AT,
    ADDRESSES_AT = 16,
};

static void put(struct header *header, const void *bytes, size_t length)
{
    memcpy(header->bytes + header->length, bytes, length);
    header->length += length;
}

static void put_number(struct header *header, size_t number)
{
    put(header, &(uint16_t){htons((uint16_t)number)}, 2);
}

static void set_length(struct header *header, size_t length)
{
    uint16_t number = htons((uint16_t)length);

    memcpy(header->bytes + LENGTH_AT, &number, sizeof number);
}

static void announce(struct header *header, bool v4)
{
    header->announced = true;
    // A client that is said to be of this host is not.
    header->source = netsock_parse(v4          ? one_in(2) ? "127.0.0.1" : "192.0.2.99"
                                   : one_in(2) ? "::1"
                                               : "2001:db8::99",
                                   (uint16_t)between(0, 65535));
    header->destination =
        netsock_parse(v4 ? "198.51.100.1" : "2001:db8::80", (uint16_t)between(0, 65535));
}

static void put_text_address(struct header *header, const struct address *address, bool v4)
{
    char text[INET6_ADDRSTRLEN + 1];

    inet_ntop(v4 ? AF_INET : AF_INET6, address->ip.s6_addr + (v4 ? 12 : 0), text, sizeof text);
    put(header, strcat(text, " "), strlen(text) + 1);
}

static void make_text(struct header *header)
{
    bool v4 = one_in(2);
    char ports[32];

    if (one_in(4)) {
        const char *unknown = one_in(2) ? "PROXY UNKNOWN\r\n" : "PROXY UNKNOWN ::1 what ever\r\n";

        put(header, unknown, strlen(unknown));
        return;
    }
    announce(header, v4);
    put(header, v4 ? "PROXY TCP4 " : "PROXY TCP6 ", 11);
    put_text_address(header, &header->source, v4);
    put_text_address(header, &header->destination, v4);
    snprintf(ports, sizeof ports, "%u %u\r\n", header->source.port, header->destination.port);
    put(header, ports, strlen(ports));
}

static void put_tlv(struct header *header, int type, const void *value, size_t length)
{
    put(header, &(char){(char)type}, 1);
    put_number(header, length);
    put(header, value, length);
}

// CRC32C, bit by bit, over the whole header with zeros for the value.
static void put_checksum(struct header *header)
{
    uint32_t crc = UINT32_MAX;

    put_tlv(header, 0x03, "\0\0\0", 4);
    set_length(header, header->length - ADDRESSES_AT);
    for (size_t bit = 0; bit < 8 * header->length; bit++) {
        crc ^= (unsigned char)header->bytes[bit / 8] >> bit % 8 & 1;
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    crc = htonl(~crc);
    memcpy(header->bytes + header->length - sizeof crc, &crc, sizeof crc);
}

static void put_tlvs(struct header *header)
{
    static const char filling[HEADER_MAX], tls[] = "\1\0\0\0\0\x21\0\7TLSv1.3";

    if (one_in(2))
        put_tlv(header, 0x04, filling, magnitude(3000));
    if (one_in(2)) {
        put_tlv(header, 0x02, "echo.example", 12);
        strcat(header->told, " authority=echo.example");
    }
    if (one_in(2)) {
        put_tlv(header, 0x20, tls, sizeof tls - 1);
        strcat(header->told, " tls=TLSv1.3");
    }
    set_length(header, header->length - ADDRESSES_AT);
    if (one_in(2))
        put_checksum(header);
}

static void put_addresses(struct header *header, bool v4)
{
    size_t skipped = v4 ? 12 : 0;

    announce(header, v4);
    put(header, header->source.ip.s6_addr + skipped, 16 - skipped);
    put(header, header->destination.ip.s6_addr + skipped, 16 - skipped);
    put_number(header, header->source.port);
    put_number(header, header->destination.port);
}

static void make_binary(struct header *header)
{
    static const unsigned char family[] = {0x11, 0x21, 0x11, 0x21, 0x12, 0x22, 0x00, 0x31};
    static const char path[216] = "/run/proxy";
    unsigned char chosen = family[between(0, sizeof family - 1)];
    bool local = one_in(5);

    put(header, "\r\n\r\n\0\r\nQUIT\n", START_BYTES);
    put(header, local ? "\x20" : "\x21", 1);
    put(header, &chosen, 1);
    put_number(header, 0);
    if (chosen == 0x31)
        put(header, path, sizeof path);
    else if (chosen != 0x00)
        put_addresses(header, chosen < 0x20);
    header->announced &= !local;
    put_tlvs(header);
}

// What makes a right header wrong, if it can, and after how many bytes that is seen.

static size_t spoil_start(struct header *header)
{
    bool text = header->bytes[0] == 'P';
    size_t at = between(0, (text ? TEXT_START_BYTES : START_BYTES) - 1);

    header->bytes[at] ^= (char)0x80;
    return at + 1;
}

static size_t spoil_text_end(struct header *header)
{
    header->bytes[header->length - 2] = 'x';
    return header->length;
}

static size_t spoil_text_length(struct header *header)
{
    memset(header->bytes + header->length - 2, 'x', 2 * TEXT_WITHOUT_END);
    header->length += TEXT_WITHOUT_END;
    return TEXT_WITHOUT_END;
}

static size_t spoil_text_address(struct header *header)
{
    static const char wrong[] = "PROXY TCP4 192.0.2.1 ::1 1 2\r\n";

    header->length = 0;
    put(header, wrong, sizeof wrong - 1);
    return header->length;
}

static size_t spoil_version(struct header *header)
{
    header->bytes[VERSION_AT] = one_in(2) ? 0x31 : 0x22;
    return VERSION_AT + 1;
}

static size_t spoil_family(struct header *header)
{
    header->bytes[VERSION_AT] = 0x21;
    header->bytes[FAMILY_AT] = one_in(2) ? 0x41 : 0x13;
    return FAMILY_AT + 1;
}

static size_t spoil_length(struct header *header)
{
    header->bytes[VERSION_AT] = 0x21;
    header->bytes[FAMILY_AT] = 0x21;
    set_length(header, one_in(2) ? 35 : HEADER_MAX - ADDRESSES_AT + 1);
    return ADDRESSES_AT;
}

static size_t spoil_tlv(struct header *header)
{
    header->bytes[VERSION_AT] = 0x21;
    put(header, "\4\0\1", 3); // one byte more than there is
    set_length(header, header->length - ADDRESSES_AT);
    return header->length;
}

static size_t spoil_checksum(struct header *header)
{
    header->bytes[VERSION_AT] = 0x21;
    header->bytes[FAMILY_AT] = 0x00;
    header->length = ADDRESSES_AT;
    put_checksum(header);
    header->bytes[header->length - 1] ^= 1;
    return header->length;
}

static void spoil(struct header *header)
{
    static size_t (*const text[])(struct header *) = {spoil_start, spoil_text_end,
                                                      spoil_text_length, spoil_text_address};
    static size_t (*const binary[])(struct header *) = {
        spoil_start, spoil_version, spoil_family, spoil_length, spoil_tlv, spoil_checksum};

    if (header->bytes[0] == 'P')
        header->wrong_at = text[between(0, ARRAY_LENGTH(text) - 1)](header);
    else
        header->wrong_at = binary[between(0, ARRAY_LENGTH(binary) - 1)](header);
}

struct header *header_create(void)
{
    struct header *header = memory_own(NULL, sizeof *header);

    memset(header, 0, sizeof *header);
    if (one_in(2))
        make_text(header);
    else
        make_binary(header);
    if (one_in(4))
        spoil(header);
    return header;
}
