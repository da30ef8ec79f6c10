// SPDX-License-Identifier: MIT
#include "unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/proxy.h"

enum { SAMPLE_MAX_BYTES = 8192, VERDICT_MAX = 512 };

// The parts of version 2, in hexadecimal digits, with or without spaces: 192.0.2.1:56324 ->
// 198.51.100.7:12345, and 2001:db8::1 -> 2001:db8::7 with the same ports.
#define V2 "0d0a0d0a000d0a515549540a"
#define PORTS "dc043039"
#define IPV4 "c0000201c6336407" PORTS
#define IPV6 "20010db800000000000000000000000120010db8000000000000000000000007" PORTS
#define ZEROS_27 "000000000000000000000000000000000000000000000000000000"
#define ZEROS_20 "0000000000000000000000000000000000000000"
#define UNIX ZEROS_27 ZEROS_27 ZEROS_27 ZEROS_27 ZEROS_27 ZEROS_27 ZEROS_27 ZEROS_27
#define AUTHORITY "02000c6563686f2e6578616d706c65"
#define TLSV1_3 "210007544c5376312e33"
// The health check of an AWS load balancer: TCP4 it says, but there are no addresses.
#define AWS_LOCAL V2 "20 11 0054 030004bce5951f 04004a" ZEROS_27 ZEROS_27 ZEROS_20

#define FROM_4 "192.0.2.1:56324 to 198.51.100.7:12345"
#define FROM_6 "[2001:db8::1]:56324 to [2001:db8::7]:12345"

struct sample {
    char bytes[SAMPLE_MAX_BYTES];
    size_t length;
};

static struct sample of_text(const char *text)
{
    struct sample sample = {.length = strlen(text)};

    memcpy(sample.bytes, text, sample.length);
    return sample;
}

static void add_hex(struct sample *sample, const char *hex)
{
    for (unsigned byte, read; sscanf(hex, "%2x%n", &byte, &read) == 1; hex += read)
        sample->bytes[sample->length++] = (char)byte;
}

static struct sample of_hex(const char *hex)
{
    struct sample sample = {.length = 0};

    add_hex(&sample, hex);
    return sample;
}

// A copy that ends where memory ends: who reads further does not come back.
static const char *at_the_end(const char *bytes, size_t length)
{
    static char *end;

    if (!end) {
        char *map = mmap(NULL, 3 * SAMPLE_MAX_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        assert_true(map != MAP_FAILED);
        end = map + 2 * SAMPLE_MAX_BYTES;
        assert_int_equal(mprotect(end, SAMPLE_MAX_BYTES, PROT_NONE), 0);
    }
    memcpy(end - length, bytes, length);
    return end - length;
}

static void add_value(struct text *text, const char *name, const char *value, size_t length,
                      const struct proxy_header *header, const char *bytes)
{
    if (length == 0)
        return;
    assert_true(value > bytes && value + length <= bytes + header->length);
    text_string(text, name);
    text_bytes(text, value, length);
}

// What is said of these bytes, as a text: "more"; a problem; or the length and what was announced.
static const char *verdict(const char *given, size_t length)
{
    static char buffer[VERDICT_MAX];
    const char *bytes = at_the_end(given, length);
    struct text text = text_in(buffer, sizeof buffer);
    struct proxy_header header;

    memset(&header, 0xff, sizeof header);
    proxy_parse(bytes, length, &header);
    if (header.length == 0) {
        assert_false(header.announced || header.authority || header.authority_length ||
                     header.tls || header.tls_length);
        return header.problem ? header.problem : "more";
    }
    assert_true(!header.problem && header.length <= length && header.length <= PROXY_MAX_BYTES);
    text_format(&text, "%zu ", header.length);
    if (header.announced)
        text_format(&text, "%s to %s", ADDRESS_STRING(&header.source),
                    ADDRESS_STRING(&header.destination));
    else
        text_string(&text, "real");
    add_value(&text, " for ", header.authority, header.authority_length, &header, bytes);
    add_value(&text, " by ", header.tls, header.tls_length, &header, bytes);
    return text_end(&text);
}

// Of all that the sample begins with, nothing is said before its first SEEN bytes, and from there
// on the same, whatever follows.
static void must_be(struct sample sample, const char *expected, size_t seen)
{
    static const char tail[] = "PROXY\r\n\0\r\n\r\n";

    assert_in_range(seen, 1, sample.length);
    memcpy(sample.bytes + sample.length, tail, sizeof tail);
    for (size_t length = 0; length < seen; length++)
        assert_string_equal(verdict(sample.bytes, length), "more");
    for (size_t length = seen; length <= sample.length + sizeof tail; length++)
        assert_string_equal(verdict(sample.bytes, length), expected);
}

static void must_be_taken(struct sample sample, const char *expected)
{
    char whole[VERDICT_MAX];

    snprintf(whole, sizeof whole, "%zu %s", sample.length, expected);
    must_be(sample, whole, sample.length);
}

TEST(version_1_is_taken)
{
    static const char *const row[][2] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n", FROM_4},
        {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0 to 255.255.255.255:65535"},
        {"PROXY TCP6 2001:db8::1 2001:DB8:0:0::7 56324 12345\r\n", FROM_6},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 to "
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        // What inet_ntop(3) makes of mapped addresses, and senders with it.
        {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6407 56324 12345\r\n", FROM_4},
        {"PROXY TCP6 ::ffff:0.0.0.0 0000:0000:0000:0000:0000:ffff:255.255.255.255 1 2\r\n",
         "0.0.0.0:1 to 255.255.255.255:2"},
        {"PROXY UNKNOWN\r\n", "real"},
        {"PROXY UNKNOWN x y z\r\n", "real"},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "real"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        must_be_taken(of_text(row[i][0]), row[i][1]);
}

static void must_be_refused_at_its_end(const char *const *row, size_t count, const char *problem)
{
    for (size_t i = 0; i < count; i++)
        must_be(of_text(row[i]), problem, strlen(row[i]));
}

TEST(version_1_is_of_a_known_protocol)
{
    static const char *const row[] = {
        "PROXY TCP5 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP44 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY UNKNOW\r\n",
        "PROXY unknown\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.7 56324 12345\r\n",
    };

    must_be_refused_at_its_end(row, ARRAY_LENGTH(row),
                               "version 1, neither TCP4 nor TCP6 nor UNKNOWN");
}

TEST(version_1_has_addresses_of_its_protocol)
{
    static const char *const row[] = {
        "PROXY TCP4 \r\n",
        "PROXY TCP4 192.0.2.1\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.07 56324 12345\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 192.0.2 198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7.8 56324 12345\r\n",
        "PROXY TCP4 0xc0.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::7 56324 12345\r\n",
        "PROXY TCP4 192.0.2.1 2001:db8::7 56324 12345\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP6 2001:db8::1 198.51.100.7 56324 12345\r\n",
        "PROXY TCP6 2001::db8::1 2001:db8::7 56324 12345\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::12345 56324 12345\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::g 56324 12345\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7 2001:db8::7 56324 12345\r\n",
        "PROXY TCP6 1:2:3:4:5:6:7:8:9 2001:db8::7 56324 12345\r\n",
        "PROXY TCP6 [2001:db8::1] [2001:db8::7] 56324 12345\r\n",
        "PROXY TCP6 fe80::1%1 2001:db8::7 56324 12345\r\n",
        "PROXY TCP6 ::ffff:192.0.2.01 ::ffff:198.51.100.7 56324 12345\r\n",
        "PROXY TCP6 0000:0000:0000:0000:0000:ffff:255.255.255.2550 ::1 56324 12345\r\n",
    };

    must_be_refused_at_its_end(row, ARRAY_LENGTH(row), "version 1, an address is wrong");
}

TEST(version_1_has_two_ports)
{
    static const char *const row[] = {
        "PROXY TCP4 192.0.2.1 198.51.100.7\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7  56324 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324  12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345 x\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 00 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 012345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 -1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 +6324 12345\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 0x10 12345\r\n",
    };

    must_be_refused_at_its_end(row, ARRAY_LENGTH(row), "version 1, a port is wrong");
}

TEST(a_nul_hides_nothing_of_version_1)
{
    static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n";

    for (size_t i = strlen("PROXY "); i < strlen(line) - 2; i++) {
        struct sample sample = of_text(line);

        memmove(sample.bytes + i + 1, sample.bytes + i, sample.length - i);
        sample.bytes[i] = '\0';
        assert_non_null(strstr(verdict(sample.bytes, sample.length + 1), "version 1, "));
    }
}

TEST(a_line_that_ends_otherwise_is_refused_there)
{
    static const char end[] = "version 1, it does not end with CR and LF";

    must_be(of_text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\n"), end, 46);
    must_be(of_text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\rx"), end, 47);
    must_be(of_text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\r\n"), end, 47);
    must_be(of_text("PROXY UNKNOWN\n\r\n"), end, 14);
    must_be(of_text("PROXY UNKNOWN a\rb\r\n"), end, 17);
    must_be(of_text("PROXY \n"), end, 7);
}

// A line of LENGTH bytes, CRLF included.
static struct sample line_of(size_t length)
{
    struct sample sample = of_text("PROXY UNKNOWN");

    while (sample.length < length - 2)
        sample.bytes[sample.length++] = ' ';
    add_hex(&sample, "0d0a");
    return sample;
}

TEST(version_1_has_107_bytes_at_most)
{
    static const char too_long[] = "version 1, it does not end within 107 bytes";

    must_be_taken(line_of(107), "real");
    must_be(line_of(108), too_long, 106);
    must_be(line_of(1000), too_long, 106);
}

TEST(what_begins_otherwise_is_missing_from_its_first_wrong_byte_on)
{
    static const char *const right[] = {"50524f585920", V2};

    for (size_t i = 0; i < ARRAY_LENGTH(right); i++) {
        struct sample whole = of_hex(right[i]);

        for (size_t at = 0; at < whole.length; at++) {
            struct sample sample = whole;

            sample.bytes[at] ^= 1;
            must_be(sample, "it is missing", at + 1);
        }
    }
    must_be(of_text("hello\n"), "it is missing", 1);
    must_be(of_text("GET / HTTP/1.1\r\n"), "it is missing", 1);
    must_be(of_text("POST / HTTP/1.1\r\n"), "it is missing", 2);
}

TEST(version_2_is_taken)
{
    static const char *const row[][2] = {
        {V2 "21 11 000c" IPV4, FROM_4},
        {V2 "21 12 000c" IPV4, FROM_4}, // a datagram: it is what the proxy says
        {V2 "21 21 0024" IPV6, FROM_6},
        {V2 "21 22 0024" IPV6, FROM_6},
        {V2 "21 21 0024 00000000000000000000ffffc0000201 00000000000000000000ffffc6336407" PORTS,
         FROM_4},
        {V2 "21 11 000c ffffffff00000000ffff0000", "255.255.255.255:65535 to 0.0.0.0:0"},
        // What has no addresses that could be shown.
        {V2 "21 00 0000", "real"},
        {V2 "21 01 0000", "real"},
        {V2 "21 10 000c" IPV4, "real"},
        {V2 "21 20 0024" IPV6, "real"},
        {V2 "21 31 00d8" UNIX, "real"},
        {V2 "21 32 00d8" UNIX, "real"},
        {V2 "21 00 0004 04000100", "real"},
        // TLVs.
        {V2 "21 11 0010" IPV4 "04000100", FROM_4},
        {V2 "21 11 000f" IPV4 "040000", FROM_4},
        {V2 "21 11 0013" IPV4 "03000419011fba", FROM_4},
        {V2 "21 21 0030" IPV6 "030004cfcb8ba3 0400020000", FROM_6},
        {V2 "21 00 0007 0300043ec9894e", "real"},
        {V2 "21 31 00df" UNIX "03000440e4e16f", "real"},
        {V2 "21 11 0022" IPV4 AUTHORITY "030004aa10fb50", FROM_4 " for echo.example"},
        {V2 "21 11 001e" IPV4 "20000f 0100000000" TLSV1_3, FROM_4 " by TLSv1.3"},
        {V2 "21 11 003f" IPV4 AUTHORITY "03000424e335e9 20001a 0100000000 220002636e" TLSV1_3
            "230003414553",
         FROM_4 " for echo.example by TLSv1.3"},
        {V2 "21 31 00e7" UNIX AUTHORITY, "real for echo.example"},
        // Of several the last counts.
        {V2 "21 11 0014" IPV4 "02000161 02000162", FROM_4 " for b"},
        {V2 "21 11 0014" IPV4 "02000161 02000120", FROM_4},
        {V2 "21 11 0026" IPV4 "20000f 0100000000" TLSV1_3 "200005 0100000000", FROM_4},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        must_be_taken(of_hex(row[i][0]), row[i][1]);
}

struct refused {
    const char *hex, *problem;
    size_t seen; // after as many bytes
};

static void must_be_refused(const struct refused *row, size_t count)
{
    for (size_t i = 0; i < count; i++)
        must_be(of_hex(row[i].hex), row[i].problem, row[i].seen);
}

TEST(version_2_is_refused_as_soon_as_it_cannot_come_right)
{
    static const char version[] = "its version is neither 1 nor 2",
                      command[] = "version 2, its command is neither LOCAL nor PROXY",
                      family[] = "version 2, its family or protocol is unknown",
                      addresses[] = "version 2, it is too short for its addresses",
                      too_long[] = "version 2, it is longer than 4096 bytes";
    static const struct refused row[] = {
        {V2 "11 11 000c" IPV4, version, 13},   {V2 "31 11 000c" IPV4, version, 13},
        {V2 "01 11 000c" IPV4, version, 13},   {V2 "22 11 000c" IPV4, command, 13},
        {V2 "2f 11 000c" IPV4, command, 13},   {V2 "21 41 000c" IPV4, family, 14},
        {V2 "21 f1 000c" IPV4, family, 14},    {V2 "21 13 000c" IPV4, family, 14},
        {V2 "21 1f 000c" IPV4, family, 14},    {V2 "21 11 0008 c0000201c6336407", addresses, 16},
        {V2 "21 11 000b" IPV4, addresses, 16}, {V2 "21 11 0000", addresses, 16},
        {V2 "21 22 0023" IPV6, addresses, 16}, {V2 "21 31 00d7" UNIX, addresses, 16},
        {V2 "21 11 0ff1" IPV4, too_long, 16},  {V2 "21 11 ffff" IPV4, too_long, 16},
        {V2 "20 00 0ff1", too_long, 16},
    };

    must_be_refused(row, ARRAY_LENGTH(row));
}

TEST(version_2_is_refused_at_its_end)
{
    static const char tlv[] = "version 2, a TLV does not end within it",
                      size[] = "version 2, its checksum does not have 4 bytes",
                      checksum[] = "version 2, its checksum is wrong";
    static const struct refused row[] = {
        {V2 "21 11 0010" IPV4 "04000200", tlv, 32},
        {V2 "21 11 0011" IPV4 "040000 0400", tlv, 33},
        {V2 "21 11 000d" IPV4 "04", tlv, 29},
        {V2 "21 11 000e" IPV4 "0400", tlv, 30},
        {V2 "21 11 000f" IPV4 "04ffff", tlv, 31},
        {V2 "21 11 000f" IPV4 "040100", tlv, 31},
        {V2 "21 00 000c" IPV4, tlv, 28},
        {V2 "21 11 0012" IPV4 "03000319011f", size, 34},
        {V2 "21 11 0014" IPV4 "03000519011fba00", size, 36},
        {V2 "21 11 000f" IPV4 "030000", size, 31},
        {V2 "21 11 0013" IPV4 "03000419011fbb", checksum, 35},
        {V2 "21 11 0014" IPV4 "03000419011fbb 04", tlv, 36},
        {V2 "20 00 0007 030004a9b87e8e", checksum, 23},
        {V2 "20 1f 0013" IPV4 "0300046cd2ef83", checksum, 35},
        {V2 "20 11 0054 03000400000000 04004a" ZEROS_27 ZEROS_27 ZEROS_20, checksum, 100},
        // The first is right with the second as it is.
        {V2 "21 11 001a" IPV4 "030004511e5ba8 03000400000000", "version 2, it has two checksums",
         42},
    };

    must_be_refused(row, ARRAY_LENGTH(row));
}

TEST(local_is_taken_whatever_it_says_of_addresses)
{
    static const char *const row[] = {
        V2 "20 00 0000",
        V2 "20 11 0000",
        V2 "20 11 000c" IPV4,
        V2 "20 21 000c" IPV4,
        V2 "20 ff 0003 010203",
        V2 "20 ff 0008 00 03000400000000",
        V2 "20 00 0007 030004a9b87e8f",
        V2 "20 11 0013" IPV4 "0300046cd2ef82",
        AWS_LOCAL,
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        must_be_taken(of_hex(row[i]), "real");
}

// What a flipped bit may do: be seen, ask for more, or make another TLV of the checksum's.
TEST(a_flipped_bit_does_not_pass_a_checksum)
{
    static const struct {
        const char *hex;
        size_t checksum; // where its TLV begins
    } row[] = {
        {V2 "21 11 0013" IPV4 "03000419011fba", 28},
        {V2 "21 11 0022" IPV4 AUTHORITY "030004aa10fb50", 43},
        {V2 "21 21 0030" IPV6 "030004cfcb8ba3 0400020000", 52},
        {V2 "21 00 0007 0300043ec9894e", 16},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct sample sample = of_hex(row[i].hex);

        for (size_t bit = 0; bit < 8 * sample.length; bit++) {
            sample.bytes[bit / 8] ^= (char)(1 << bit % 8);
            const char *said = verdict(sample.bytes, sample.length);
            bool taken = said[0] >= '0' && said[0] <= '9';
            assert_int_equal(taken, bit / 8 == row[i].checksum);
            sample.bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
}

// But that of the command, which makes the checksum an address.
TEST(a_flipped_bit_makes_no_client_of_a_health_check)
{
    struct sample sample = of_hex(AWS_LOCAL);

    for (size_t bit = 0; bit < 8 * sample.length; bit++) {
        sample.bytes[bit / 8] ^= (char)(1 << bit % 8);
        bool client = strstr(verdict(sample.bytes, sample.length), " to ") != NULL;
        assert_int_equal(client, bit == 8 * 12);
        sample.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}

// A header of LENGTH bytes, filled up by a TLV.
static struct sample header_of(size_t length)
{
    struct sample sample = of_hex(V2 "2111");
    char hex[16];

    snprintf(hex, sizeof hex, "%04x", (unsigned)length - 16);
    add_hex(&sample, hex);
    add_hex(&sample, IPV4);
    snprintf(hex, sizeof hex, "e0%04x", (unsigned)length - 31);
    add_hex(&sample, hex);
    sample.length = length;
    return sample;
}

TEST(version_2_has_4096_bytes_at_most)
{
    must_be_taken(header_of(4096), FROM_4);
    must_be(header_of(4097), "version 2, it is longer than 4096 bytes", 16);
}

// A header with one TLV of this TYPE: PREFIX, and then COUNT times the byte.
static struct sample with_tlv(const char *type, const char *prefix, char byte, size_t count)
{
    struct sample sample = of_hex(V2 "2111");
    size_t value = of_hex(prefix).length + count;
    char hex[16];

    snprintf(hex, sizeof hex, "%04x", (unsigned)(15 + value));
    add_hex(&sample, hex);
    add_hex(&sample, IPV4);
    add_hex(&sample, type);
    snprintf(hex, sizeof hex, "%04x", (unsigned)value);
    add_hex(&sample, hex);
    add_hex(&sample, prefix);
    memset(sample.bytes + sample.length, byte, count);
    sample.length += count;
    return sample;
}

TEST(what_is_no_text_for_a_log_is_left_out)
{
    char expected[VERDICT_MAX] = FROM_4 " for ";
    size_t length = strlen(expected);

    memset(expected + length, 'a', 255);
    must_be_taken(with_tlv("02", "", 'a', 255), expected);
    must_be_taken(with_tlv("02", "", 'a', 256), FROM_4);
    must_be_taken(with_tlv("02", "", 'a', 0), FROM_4);
    for (int byte = 0; byte < 256; byte++) {
        bool shown = byte > ' ' && byte < 0x7f;

        snprintf(expected, sizeof expected, FROM_4 "%s%c", shown ? " for a" : "", shown ? byte : 0);
        must_be_taken(with_tlv("02", "61", (char)byte, 1), expected);
        snprintf(expected, sizeof expected, FROM_4 "%s%c", shown ? " for " : "", shown ? byte : 0);
        must_be_taken(with_tlv("02", "", (char)byte, 1), expected);
    }
}

// An SSL TLV shows the version of TLS, and is never a problem.
TEST(the_version_of_tls_is_found_or_left_out)
{
    static const struct {
        const char *value, *shown;
    } row[] = {
        {"", ""},
        {"01", ""},
        {"0100000000", ""},
        {"010000000021", ""},
        {"0100000000 210000", ""},
        {"0100000000 21000a 544c5376312e33", ""},
        {"0100000000 210003 544c53 2200", " by TLS"},
        {"0100000000 22000061" TLSV1_3, ""},
        {"0100000000 220000" TLSV1_3, " by TLSv1.3"},
        {"0000000000" TLSV1_3, " by TLSv1.3"},
        {"0100000000 210003 544c20", ""},
        {"0100000000 21000f 616161616161616161616161616161", " by aaaaaaaaaaaaaaa"},
        {"0100000000 210010 61616161616161616161616161616161", ""},
    };
    char expected[VERDICT_MAX];

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        snprintf(expected, sizeof expected, FROM_4 "%s", row[i].shown);
        must_be_taken(with_tlv("20", row[i].value, 0, 0), expected);
    }
}
