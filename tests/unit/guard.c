// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/guard.h"

enum { OWN_PORT = 12345 };

// A datagram that is answered; each test spoils one thing.
static struct datagram good(void)
{
    struct datagram datagram = {
        .to_host = true, .hop_limit = 64, .bytes = "hello", .held = 5, .length = 5};

    assert_true(address_parse("192.0.2.1", &datagram.peer));
    datagram.peer.port = 40000;
    assert_true(address_parse("192.0.2.2", &datagram.local));
    datagram.local.port = OWN_PORT;
    return datagram;
}

TEST(a_good_datagram_is_answered)
{
    struct datagram datagram = good();

    assert_true(guard_accepts_addresses(&datagram, OWN_PORT));
    assert_true(guard_accepts_content(&datagram));
}

TEST(services_are_no_clients)
{
    static const struct {
        uint16_t port;
        bool accepted;
    } row[] = {
        {0, false},   {1, false},        {7, false},           {53, false},   {1023, false},
        {1024, true}, {OWN_PORT, false}, {OWN_PORT - 1, true}, {65535, true},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct datagram datagram = good();

        datagram.peer.port = row[i].port;
        assert_int_equal(guard_accepts_addresses(&datagram, OWN_PORT), row[i].accepted);
    }
}

TEST(both_ends_are_one_host_each)
{
    static const char *const none[] = {"0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"};

    for (size_t i = 0; i < ARRAY_LENGTH(none); i++) {
        struct datagram from = good(), to = good();

        assert_true(address_parse(none[i], &from.peer));
        from.peer.port = 40000;
        assert_false(guard_accepts_addresses(&from, OWN_PORT));
        assert_true(address_parse(none[i], &to.local));
        assert_false(guard_accepts_addresses(&to, OWN_PORT));
    }
    struct datagram to_network = good(); // its broadcast address, which only the kernel knows
    to_network.to_host = false;
    assert_false(guard_accepts_addresses(&to_network, OWN_PORT));
}

TEST(an_answer_needs_a_hop_left)
{
    static const int limit[] = {0, 1, 2, 255};

    for (size_t i = 0; i < ARRAY_LENGTH(limit); i++) {
        struct datagram datagram = good();

        datagram.hop_limit = limit[i];
        assert_int_equal(guard_accepts_content(&datagram), limit[i] > 1);
    }
}

TEST(errors_are_not_answered)
{
    static const struct {
        const char *bytes;
        bool accepted;
    } row[] = {
        {"ERR unknown-command\n", false},
        {"ERR ", false},
        {"ERR", true},
        {"", true},
        {"err ", true},
        {"ERRx", true},
        {" ERR ", true},
    };

    for (size_t i = 0; i < 2 * ARRAY_LENGTH(row); i++) {
        struct datagram datagram = good();
        size_t length = strlen(row[i / 2].bytes);
        char *exact = malloc(length + 1); // a byte too far is seen by AddressSanitizer

        assert_non_null(exact);
        memcpy(exact + 1, row[i / 2].bytes, length);
        datagram.bytes = exact + 1;
        datagram.held = length;
        datagram.truncated = i % 2; // then it is told by what is held
        datagram.length = i % 2 ? 2000 : length;
        assert_int_equal(guard_accepts_content(&datagram), row[i / 2].accepted);
        free(exact);
    }
}
