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
}

TEST(a_broadcast_address_of_the_network_is_no_host)
{
    struct datagram datagram = good();

    datagram.to_host = false;
    assert_false(guard_accepts_addresses(&datagram, OWN_PORT));
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

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct datagram datagram = good();
        size_t length = strlen(row[i].bytes);
        char *exact = malloc(length + 1); // a byte too far is seen by AddressSanitizer

        assert_non_null(exact);
        memcpy(exact + 1, row[i].bytes, length);
        datagram.bytes = exact + 1;
        datagram.held = datagram.length = length;
        assert_int_equal(guard_accepts_content(&datagram), row[i].accepted);
        free(exact);
    }
}

TEST(a_truncated_error_is_told_by_what_is_held)
{
    struct datagram datagram = good();

    datagram.truncated = true;
    datagram.length = 2000;
    datagram.bytes = "ERR";
    datagram.held = 3;
    assert_true(guard_accepts_content(&datagram)); // and no byte beyond is looked at
    datagram.bytes = "ERR x";
    datagram.held = 5;
    assert_false(guard_accepts_content(&datagram));
}
