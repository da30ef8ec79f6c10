// SPDX-License-Identifier: MIT
#include "core/proxy.h"

#include <string.h>

#include "core/number.h"
#include "ground/util.h"

static const char text_start[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const char binary_start[] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                    '\n', 'Q',  'U',  'I',  'T', '\n'};

enum {
    TEXT_MAX_BYTES = 107, // CRLF included
    VERSION_AT = sizeof binary_start,
    FAMILY_AT,
    LENGTH_AT,
    FIXED_BYTES = LENGTH_AT + 2, // what version 2 always has
    TLV_BYTES = 3,               // type and length
    CHECKSUM_BYTES = 4,
    SSL_BYTES = 5, // what the client did, and whether that was verified; TLVs follow
    AUTHORITY_MAX_BYTES = 255,
    TLS_MAX_BYTES = 15,
};

enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_NONE, FAMILY_IPV4, FAMILY_IPV6, FAMILY_UNIX };
enum { PROTOCOL_NONE, PROTOCOL_STREAM, PROTOCOL_DATAGRAM };
enum { TLV_AUTHORITY = 0x02, TLV_CHECKSUM = 0x03, TLV_SSL = 0x20, TLV_TLS = 0x21 };

// Bytes that are read from the front.
struct part {
    const char *at;
    size_t left;
};

static void skip(struct part *part, size_t length)
{
    part->at += length;
    part->left -= length;
}

#define BEGINS(part, literal) begins(part, literal, sizeof(literal) - 1)

static bool begins(struct part part, const char *start, size_t length)
{
    return part.left >= length && memcmp(part.at, start, length) == 0;
}

// What stands before the first space, which is skipped; without one, all of it.
static struct part next_word(struct part *line)
{
    const char *space = memchr(line->at, ' ', line->left);
    struct part word = {line->at, space ? (size_t)(space - line->at) : line->left};

    skip(line, space ? word.left + 1 : word.left);
    return word;
}

// A NUL in the word would hide what stands behind it.
static bool take_ip(struct part word, bool v6, struct address *address)
{
    char string[INET6_ADDRSTRLEN];

    if (word.left >= sizeof string || memchr(word.at, '\0', word.left))
        return false;
    memcpy(string, word.at, word.left);
    string[word.left] = '\0';
    return (memchr(word.at, ':', word.left) != NULL) == v6 && address_parse(string, address);
}

static bool take_port(struct part word, struct address *address)
{
    uint64_t port;

    if (!number_parse(word.at, word.left, UINT16_MAX, &port) || (word.left > 1 && *word.at == '0'))
        return false;
    address->port = (uint16_t)port;
    return true;
}

// What stands between text_start and CRLF.
static const char *take_line(struct part line, struct proxy_header *header)
{
    bool v6 = BEGINS(line, "TCP6 ");

    if (BEGINS(line, "UNKNOWN")) // whatever follows
        return NULL;
    if (!v6 && !BEGINS(line, "TCP4 "))
        return "version 1, neither TCP4 nor TCP6 nor UNKNOWN";
    next_word(&line);
    if (!take_ip(next_word(&line), v6, &header->source) ||
        !take_ip(next_word(&line), v6, &header->destination))
        return "version 1, an address is wrong";
    if (!take_port(next_word(&line), &header->source) || !take_port(line, &header->destination))
        return "version 1, a port is wrong";
    header->announced = true;
    return NULL;
}

// Version 1, of which as much of text_start is right as there is.
static const char *take_text(const char *bytes, size_t length, struct proxy_header *header)
{
    size_t most = size_min(length, TEXT_MAX_BYTES - 1), end = size_min(length, sizeof text_start);

    /*@ loop invariant \at(end, LoopEntry) <= end <= most;
        loop assigns end;
        loop variant most - end;
    */
    while (end < most && bytes[end] != '\r' && bytes[end] != '\n')
        end++;
    if (end == TEXT_MAX_BYTES - 1)
        return "version 1, it does not end within 107 bytes";
    if (end == length || (bytes[end] == '\r' && end + 1 == length))
        return NULL;
    if (bytes[end] != '\r' || bytes[end + 1] != '\n')
        return "version 1, it does not end with CR and LF";
    header->length = end + 2;
    return take_line((struct part){bytes + sizeof text_start, end - sizeof text_start}, header);
}

static uint8_t byte(const char *at)
{
    return (uint8_t)*at;
}

static uint16_t number(const char *at)
{
    return (uint16_t)(byte(at) * 256 + byte(at + 1));
}

static uint32_t long_number(const char *at)
{
    return (uint32_t)number(at) * 65536 + number(at + 2);
}

struct tlv {
    uint8_t type;
    struct part value;
};

// False if there is none, or if it does not end within the part.
static bool next_tlv(struct part *part, struct tlv *tlv)
{
    if (part->left < TLV_BYTES)
        return false;
    size_t length = number(part->at + 1);
    if (length > part->left - TLV_BYTES)
        return false;
    *tlv = (struct tlv){byte(part->at), {part->at + TLV_BYTES, length}};
    skip(part, TLV_BYTES + length);
    return true;
}

static bool are_tlvs(struct part part)
{
    struct tlv tlv;

    /*@ loop invariant part.left <= \at(part.left, Pre);
        loop invariant part.at == \at(part.at, Pre) + (\at(part.left, Pre) - part.left);
        loop assigns part, tlv;
        loop variant part.left;
    */
    while (next_tlv(&part, &tlv))
        continue;
    return part.left == 0;
}

// The length of what may go into a log as it is, or 0.
static size_t printable(struct part value, size_t most)
{
    /*@ loop invariant 0 <= i <= value.left;
        loop invariant \forall integer j; 0 <= j < i ==> '!' <= value.at[j] <= '~';
        loop assigns i;
        loop variant value.left - i;
    */
    for (size_t i = 0; i < value.left; i++)
        if (value.at[i] < '!' || value.at[i] > '~')
            return 0;
    return value.left <= most ? value.left : 0;
}

// Of several SSL TLVs the last counts, as it does of several authorities.
static void take_ssl(struct part value, struct proxy_header *header)
{
    struct tlv tlv;

    header->tls_length = 0;
    skip(&value, size_min(SSL_BYTES, value.left));
    /*@ loop invariant value.left <= \at(value.left, Pre);
        loop invariant value.at == \at(value.at, Pre) + (\at(value.left, Pre) - value.left);
        loop invariant shown(header->tls, header->tls_length, TLS_MAX_BYTES, \at(value.at, Pre),
                             \at(value.left, Pre));
        loop assigns value, tlv, header->tls, header->tls_length;
        loop variant value.left;
    */
    while (next_tlv(&value, &tlv))
        if (tlv.type == TLV_TLS) {
            header->tls = tlv.value.at;
            header->tls_length = printable(tlv.value, TLS_MAX_BYTES);
        }
}

static const char *take_tlvs(struct part tlvs, struct proxy_header *header, const char **checksum)
{
    struct tlv tlv;

    /*@ loop invariant tlvs.left <= \at(tlvs.left, Pre);
        loop invariant tlvs.at == \at(tlvs.at, Pre) + (\at(tlvs.left, Pre) - tlvs.left);
        loop invariant shown(header->authority, header->authority_length, AUTHORITY_MAX_BYTES,
                             \at(tlvs.at, Pre), \at(tlvs.left, Pre));
        loop invariant shown(header->tls, header->tls_length, TLS_MAX_BYTES, \at(tlvs.at, Pre),
                             \at(tlvs.left, Pre));
        loop invariant *checksum == \null ||
                       stands(*checksum, CHECKSUM_BYTES, \at(tlvs.at, Pre), \at(tlvs.left, Pre));
        loop assigns tlvs, tlv, *checksum, header->authority, header->authority_length,
                     header->tls, header->tls_length;
        loop variant tlvs.left;
    */
    while (next_tlv(&tlvs, &tlv))
        if (tlv.type == TLV_AUTHORITY) {
            header->authority = tlv.value.at;
            header->authority_length = printable(tlv.value, AUTHORITY_MAX_BYTES);
        } else if (tlv.type == TLV_SSL) {
            take_ssl(tlv.value, header);
        } else if (tlv.type == TLV_CHECKSUM) {
            if (tlv.value.left != CHECKSUM_BYTES)
                return "version 2, its checksum does not have 4 bytes";
            if (*checksum) // each would cost as much as the first
                return "version 2, it has two checksums";
            *checksum = tlv.value.at;
        }
    return tlvs.left == 0 ? NULL : "version 2, a TLV does not end within it";
}

// CRC32C (RFC 9260, appendix A) of a header with zeros for its checksum. Bit by bit the longest one
// takes some 30 us; a table would make that less, but few headers are long.
static uint32_t checksum_of(const char *bytes, size_t length, const char *checksum)
{
    uint32_t crc = UINT32_MAX;

    /*@ loop invariant bytes <= at <= bytes + length;
        loop invariant at == bytes + (at - bytes);
        loop assigns at, crc;
        loop variant length - (at - bytes);
    */
    for (const char *at = bytes; at < bytes + length; at++) {
        crc ^= at >= checksum && at < checksum + CHECKSUM_BYTES ? 0 : byte(at);
        /*@ loop invariant 0 <= bit <= 8;
            loop assigns bit, crc;
            loop variant 8 - bit;
        */
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static struct address address_at(const char *ip, size_t length, const char *port)
{
    struct address address = {.port = 0};
    struct in_addr v4;

    if (length == sizeof v4) {
        memcpy(&v4, ip, sizeof v4);
        address = address_of_v4(v4);
    } else {
        memcpy(&address.ip, ip, sizeof address.ip);
    }
    address.port = number(port);
    return address;
}

static bool is_local(const char *bytes)
{
    return byte(bytes + VERSION_AT) % 16 == COMMAND_LOCAL;
}

static unsigned family_of(const char *bytes)
{
    return byte(bytes + FAMILY_AT) / 16;
}

static unsigned protocol_of(const char *bytes)
{
    return byte(bytes + FAMILY_AT) % 16;
}

// How many bytes of addresses stand before the TLVs, the ports of IP included.
static size_t addresses_of(const char *bytes)
{
    switch (family_of(bytes)) {
    case FAMILY_IPV4:
        return 12;
    case FAMILY_IPV6:
        return 36;
    case FAMILY_UNIX:
        return 216;
    default:
        return 0;
    }
}

// What stands before the addresses, as far as it is there.
static const char *binary_problem(const char *bytes, size_t length)
{
    if (length > VERSION_AT && byte(bytes + VERSION_AT) / 16 != 2)
        return "its version is neither 1 nor 2";
    if (length > VERSION_AT && byte(bytes + VERSION_AT) % 16 > COMMAND_PROXY)
        return "version 2, its command is neither LOCAL nor PROXY";
    if (length > FAMILY_AT && !is_local(bytes) &&
        (family_of(bytes) > FAMILY_UNIX || protocol_of(bytes) > PROTOCOL_DATAGRAM))
        return "version 2, its family or protocol is unknown";
    if (length < FIXED_BYTES)
        return NULL;
    if (number(bytes + LENGTH_AT) > PROXY_MAX_BYTES - FIXED_BYTES)
        return "version 2, it is longer than 4096 bytes";
    if (!is_local(bytes) && number(bytes + LENGTH_AT) < addresses_of(bytes))
        return "version 2, it is too short for its addresses";
    return NULL;
}

// Those of IP: first both addresses, then both ports.
static void take_addresses(const char *bytes, struct proxy_header *header)
{
    size_t ip = family_of(bytes) == FAMILY_IPV6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    const char *source = bytes + FIXED_BYTES, *destination = source + ip;
    const char *ports = destination + ip;

    header->source = address_at(source, ip, ports);
    header->destination = address_at(destination, ip, ports + sizeof(in_port_t));
    header->announced = true;
}

// LOCAL has addresses before its TLVs or not, whatever its family says: AWS's health checks name
// TCP4 and have none. Its TLVs are where they add up to its end, or nowhere.
static struct part tlvs_of(const char *bytes, size_t length)
{
    struct part part = {bytes + FIXED_BYTES, length - FIXED_BYTES};

    if (is_local(bytes) && are_tlvs(part))
        return part;
    skip(&part, size_min(addresses_of(bytes), part.left));
    if (is_local(bytes) && !are_tlvs(part))
        part.left = 0;
    return part;
}

static bool announces(const char *bytes)
{
    return !is_local(bytes) && protocol_of(bytes) != PROTOCOL_NONE &&
           (family_of(bytes) == FAMILY_IPV4 || family_of(bytes) == FAMILY_IPV6);
}

// Version 2, of which as much of binary_start is right as there is.
static const char *take_binary(const char *bytes, size_t length, struct proxy_header *header)
{
    const char *checksum = NULL, *problem = binary_problem(bytes, length);

    if (problem || length < FIXED_BYTES)
        return problem;
    size_t whole = FIXED_BYTES + (size_t)number(bytes + LENGTH_AT);
    if (length < whole)
        return NULL;
    header->length = whole;
    if (announces(bytes))
        take_addresses(bytes, header);
    problem = take_tlvs(tlvs_of(bytes, whole), header, &checksum);
    if (!problem && checksum && checksum_of(bytes, whole, checksum) != long_number(checksum))
        problem = "version 2, its checksum is wrong";
    return problem;
}

static void clear(struct proxy_header *header, const char *problem)
{
    *header = (struct proxy_header){.problem = problem};
}

void proxy_parse(const char *bytes, size_t length, struct proxy_header *header)
{
    const char *problem = "it is missing";

    clear(header, NULL);
    if (memcmp(bytes, text_start, size_min(length, sizeof text_start)) == 0)
        problem = take_text(bytes, length, header);
    else if (memcmp(bytes, binary_start, size_min(length, sizeof binary_start)) == 0)
        problem = take_binary(bytes, length, header);
    if (problem)
        clear(header, problem);
}
