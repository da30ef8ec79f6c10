// SPDX-License-Identifier: MIT
#include "unit.h"

#include <arpa/inet.h>

#include "core/address.h"

static struct address parsed(const char *string)
{
    struct address address;

    memset(&address, 0xff, sizeof address);
    assert_true(address_parse(string, &address));
    assert_true(address.port == 0 && address.scope == 0);
    return address;
}

TEST(addresses_are_written_with_their_port)
{
    static const struct {
        const char *string;
        uint16_t port;
        uint32_t scope;
        const char *written;
    } row[] = {
        {"127.0.0.1", 12345, 0, "127.0.0.1:12345"},
        {"0.0.0.0", 0, 0, "0.0.0.0:0"},
        {"255.255.255.255", 65535, 0, "255.255.255.255:65535"},
        {"::", 1, 0, "[::]:1"},
        {"::1", 80, 0, "[::1]:80"},
        {"::ffff:192.0.2.1", 80, 0, "192.0.2.1:80"}, // a client of the dual-stack socket
        {"2001:DB8:0:0:0:0:0:1", 80, 0, "[2001:db8::1]:80"},
        {"fe80::1", 80, 3, "[fe80::1%3]:80"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, UINT32_MAX,
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct address address = parsed(row[i].string);

        address.port = row[i].port;
        address.scope = row[i].scope;
        assert_string_equal(ADDRESS_STRING(&address), row[i].written);
    }
}

TEST(what_is_no_address_is_refused)
{
    static const char *const row[] = {
        "",         "localhost", "1.2.3",      "1.2.3.4.5", "1.2.3.256", "1.2.3.4:80",
        "01.2.3.4", " 1.2.3.4",  "[::1]",      "::1%lo",    "fe80::1%1", ":::",
        "1::2::3",  "12345::",   "::1.2.3.4x", "::g",       "1.2.3.4/8", "1.2.3.4\n",
    };
    struct address address;

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        assert_false(address_parse(row[i], &address));
}

TEST(ipv4_is_kept_mapped)
{
    struct in_addr ip = {.s_addr = htonl(0xc0000201)};
    struct address address = address_of_v4(ip);

    assert_true(address_is_v4(&address));
    assert_int_equal(address_v4(&address).s_addr, ip.s_addr);
    assert_string_equal(ADDRESS_STRING(&address), "192.0.2.1:0");
    address = parsed("::192.0.2.1"); // compatible, not mapped
    assert_false(address_is_v4(&address));
}

TEST(what_a_socket_was_given_comes_back)
{
    static const struct {
        const char *string;
        uint32_t scope;
        int family;
        socklen_t length;
        const char *back;
    } row[] = {
        {"192.0.2.1", 0, AF_INET, sizeof(struct sockaddr_in), "192.0.2.1:4660"},
        {"192.0.2.1", 0, AF_INET6, sizeof(struct sockaddr_in6), "192.0.2.1:4660"},
        {"fe80::1", 7, AF_INET6, sizeof(struct sockaddr_in6), "[fe80::1%7]:4660"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct address address = parsed(row[i].string);
        struct sockaddr_storage storage;
        struct sockaddr_in v4; // whose port stands where an IPv6 one does

        address.port = 0x1234;
        address.scope = row[i].scope;
        assert_int_equal(address_store(&address, row[i].family, &storage), row[i].length);
        assert_int_equal(storage.ss_family, row[i].family);
        memcpy(&v4, &storage, sizeof v4);
        assert_int_equal(v4.sin_port, htons(0x1234));
        struct address back = address_of(&storage);
        assert_string_equal(ADDRESS_STRING(&back), row[i].back);
    }
}

TEST(loopback_and_what_is_no_single_host_are_told_in_both_families)
{
    enum { HOST, LOOPBACK, UNSPECIFIED, GROUP };
    static const struct {
        const char *string;
        int kind;
    } row[] = {
        {"127.0.0.1", LOOPBACK},
        {"127.255.255.255", LOOPBACK},
        {"::1", LOOPBACK},
        {"::ffff:127.0.0.1", LOOPBACK},
        {"128.0.0.1", HOST},
        {"126.255.255.255", HOST},
        {"::2", HOST},
        {"::127.0.0.1", HOST},
        {"fe80::1", HOST},
        {"::ffff:8.8.8.8", HOST},
        {"0.0.0.1", HOST},
        {"223.255.255.255", HOST},
        {"240.0.0.1", HOST},
        {"::224.0.0.1", HOST},
        {"0.0.0.0", UNSPECIFIED},
        {"::", UNSPECIFIED},
        {"255.255.255.255", GROUP},
        {"224.0.0.1", GROUP},
        {"239.255.255.255", GROUP},
        {"ff02::1", GROUP},
        {"::ffff:224.0.0.1", GROUP},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct address address = parsed(row[i].string);

        assert_int_equal(address_is_loopback(&address), row[i].kind == LOOPBACK);
        assert_int_equal(address_is_no_host(&address), row[i].kind >= UNSPECIFIED);
        assert_int_equal(address_is_group(&address), row[i].kind == GROUP);
    }
}

// Every byte of an address decides what it is, but the last four of a mapped one.
TEST(an_address_that_differs_in_a_byte_is_another)
{
    for (size_t i = 0; i < sizeof(struct in6_addr); i++) {
        struct address mapped = parsed("::ffff:127.0.0.1"), loopback = parsed("::1"),
                       nobody = parsed("::");

        mapped.ip.s6_addr[i] ^= 0x10;
        loopback.ip.s6_addr[i] ^= 0x10;
        nobody.ip.s6_addr[i] ^= 0x10;
        assert_int_equal(address_is_v4(&mapped), i >= 12);
        assert_int_equal(address_is_loopback(&mapped), i > 12);
        assert_false(address_is_loopback(&loopback));
        assert_false(address_is_no_host(&nobody));
    }
}
