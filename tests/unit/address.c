// SPDX-License-Identifier: MIT
#include "unit.h"

#include <arpa/inet.h>

#include "core/address.h"

static struct address parsed(const char *string)
{
    struct address address;

    assert_true(address_parse(string, &address));
    return address;
}

static void addresses_are_written_with_their_port(void **state)
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

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct address address = parsed(row[i].string);

        address.port = row[i].port;
        address.scope = row[i].scope;
        assert_string_equal(ADDRESS_STRING(&address), row[i].written);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const row[] = {
        "",         "localhost", "1.2.3",      "1.2.3.4.5", "1.2.3.256", "1.2.3.4:80",
        "01.2.3.4", " 1.2.3.4",  "[::1]",      "::1%lo",    "fe80::1%1", ":::",
        "1::2::3",  "12345::",   "::1.2.3.4x", "::g",       "1.2.3.4/8", "1.2.3.4\n",
    };
    struct address address;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        assert_false(address_parse(row[i], &address));
}

static void a_parsed_address_has_no_port_and_no_scope(void **state)
{
    struct address address;

    (void)state;
    memset(&address, 0xff, sizeof address);
    assert_true(address_parse("fe80::1", &address));
    assert_int_equal(address.port, 0);
    assert_int_equal(address.scope, 0);
}

static void ipv4_is_kept_mapped(void **state)
{
    struct in_addr ip = {.s_addr = htonl(0xc0000201)};
    struct address address = address_of_v4(ip);

    (void)state;
    assert_true(address_is_v4(&address));
    assert_int_equal(address_v4(&address).s_addr, ip.s_addr);
    assert_string_equal(ADDRESS_STRING(&address), "192.0.2.1:0");
    address = parsed("::192.0.2.1"); // compatible, not mapped
    assert_false(address_is_v4(&address));
}

static void what_a_socket_was_given_comes_back(void **state)
{
    struct address address = parsed("192.0.2.1");
    struct sockaddr_storage storage;

    (void)state;
    address.port = 12345;
    assert_int_equal(address_store(&address, AF_INET, &storage), sizeof(struct sockaddr_in));
    assert_int_equal(storage.ss_family, AF_INET);
    struct address back = address_of(&storage);
    assert_memory_equal(&back.ip, &address.ip, sizeof back.ip);
    assert_int_equal(back.port, 12345);

    assert_int_equal(address_store(&address, AF_INET6, &storage), sizeof(struct sockaddr_in6));
    assert_int_equal(storage.ss_family, AF_INET6);
    back = address_of(&storage);
    assert_string_equal(ADDRESS_STRING(&back), "192.0.2.1:12345");

    address = parsed("fe80::1");
    address.port = 1;
    address.scope = 7;
    address_store(&address, AF_INET6, &storage);
    back = address_of(&storage);
    assert_string_equal(ADDRESS_STRING(&back), "[fe80::1%7]:1");
}

static void ports_are_in_network_order_outside(void **state)
{
    struct address address = parsed("::1");
    struct sockaddr_storage storage;
    struct sockaddr_in6 v6;

    (void)state;
    address.port = 0x1234;
    address_store(&address, AF_INET6, &storage);
    memcpy(&v6, &storage, sizeof v6);
    assert_int_equal(v6.sin6_port, htons(0x1234));
}

static void loopback_is_told_in_both_families(void **state)
{
    static const char *const loopback[] = {"127.0.0.1", "127.255.255.255", "::1",
                                           "::ffff:127.0.0.1"};
    static const char *const other[] = {
        "128.0.0.1", "126.255.255.255", "0.0.0.0", "::",
        "::2",       "::127.0.0.1",     "fe80::1", "::ffff:8.8.8.8"};

    (void)state;
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        struct address address = parsed(loopback[i]);
        assert_true(address_is_loopback(&address));
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        struct address address = parsed(other[i]);
        assert_false(address_is_loopback(&address));
    }
}

static void what_is_no_single_host_is_told(void **state)
{
    static const char *const none[] = {
        "0.0.0.0", "255.255.255.255", "224.0.0.1",       "239.255.255.255",
        "::",      "ff02::1",         "::ffff:224.0.0.1"};
    static const char *const host[] = {"0.0.0.1", "223.255.255.255", "240.0.0.1", "::1",
                                       "fe80::1", "::224.0.0.1",     "127.0.0.1"};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct address address = parsed(none[i]);
        assert_true(address_is_no_host(&address));
        assert_int_equal(address_is_group(&address), i != 0 && i != 4); // 0.0.0.0 and ::
    }
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++) {
        struct address address = parsed(host[i]);
        assert_false(address_is_no_host(&address));
        assert_false(address_is_group(&address));
    }
}

// Every byte of an address decides what it is, but the last four of a mapped one.
static void an_address_that_differs_in_a_byte_is_another(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_written_with_their_port),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_parsed_address_has_no_port_and_no_scope),
        cmocka_unit_test(ipv4_is_kept_mapped),
        cmocka_unit_test(what_a_socket_was_given_comes_back),
        cmocka_unit_test(ports_are_in_network_order_outside),
        cmocka_unit_test(loopback_is_told_in_both_families),
        cmocka_unit_test(what_is_no_single_host_is_told),
        cmocka_unit_test(an_address_that_differs_in_a_byte_is_another),
    };

    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
