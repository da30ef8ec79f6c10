// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/guard.h"

enum { OWN_PORT = 12345, OTHER_OWN_PORT = 65535 };

static struct guard_ports own;

BEFORE_EACH
{
    guard_add_port(&own, OWN_PORT);
    guard_add_port(&own, OTHER_OWN_PORT);
}

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

    assert_int_equal(guard_addresses(&datagram, &own), DROP_NONE);
    assert_int_equal(guard_content(&datagram, false), DROP_NONE);
}

TEST(services_are_no_clients)
{
    static const struct {
        uint16_t port;
        bool accepted;
    } row[] = {
        {0, false},
        {1, false},
        {7, false},
        {53, false},
        {1023, false},
        {1024, true},
        {OWN_PORT, false},
        {OWN_PORT - 1, true},
        {OWN_PORT + 1, true},
        {OTHER_OWN_PORT, false},
        {OTHER_OWN_PORT - 1, true},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct datagram datagram = good();

        datagram.peer.port = row[i].port;
        assert_int_equal((guard_addresses(&datagram, &own) == DROP_NONE), row[i].accepted);
    }
}

TEST(both_ends_are_one_host_each)
{
    static const char *const none[] = {"0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"};

    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        struct datagram from = good(), to = good();

        assert_true(address_parse(none[i], &from.peer));
        from.peer.port = 40000;
        assert_int_not_equal(guard_addresses(&from, &own), DROP_NONE);
        assert_true(address_parse(none[i], &to.local));
        assert_int_not_equal(guard_addresses(&to, &own), DROP_NONE);
    }
}

TEST(a_broadcast_address_of_the_network_is_no_host)
{
    struct datagram datagram = good();

    datagram.to_host = false;
    assert_int_not_equal(guard_addresses(&datagram, &own), DROP_NONE);
}

TEST(an_answer_needs_a_hop_left)
{
    static const int limit[] = {0, 1, 2, 255};

    for (size_t i = 0; i < sizeof limit / sizeof limit[0]; i++) {
        struct datagram datagram = good();

        datagram.hop_limit = limit[i];
        assert_int_equal((guard_content(&datagram, false) == DROP_NONE), limit[i] > 1);
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

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct datagram datagram = good();
        size_t length = strlen(row[i].bytes);
        char *exact = malloc(length + 1); // a byte too far is seen by AddressSanitizer

        assert_non_null(exact);
        memcpy(exact + 1, row[i].bytes, length);
        datagram.bytes = exact + 1;
        datagram.held = datagram.length = length;
        assert_int_equal((guard_content(&datagram, false) == DROP_NONE), row[i].accepted);
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
    assert_int_equal(guard_content(&datagram, false), DROP_NONE); // and no byte beyond is looked at
    datagram.bytes = "ERR x";
    datagram.held = 5;
    assert_int_not_equal(guard_content(&datagram, false), DROP_NONE);
}

// Each byte at either end, and the length, make a datagram another one.
TEST(a_digest_tells_datagrams_apart)
{
    static const size_t lengths[] = {0, 1, 7, 15, 16, 17, 31, 32, 33, 100};
    char bytes[100], changed[100];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t length = lengths[i];
        struct datagram one = {.bytes = bytes, .held = length, .length = length};
        struct datagram other = {.bytes = changed, .held = length, .length = length};

        memcpy(changed, bytes, sizeof bytes);
        assert_int_equal(guard_digest(&one), guard_digest(&other));
        for (size_t at = 0; at < length; at++) {
            changed[at] ^= 1;
            if (at < 16 || at >= length - 16)
                assert_int_not_equal(guard_digest(&one), guard_digest(&other));
            changed[at] ^= 1;
        }
        other.length++;
        assert_int_not_equal(guard_digest(&one), guard_digest(&other));
    }
}

TEST(an_empty_datagram_has_a_digest)
{
    struct datagram none = {.bytes = NULL};

    guard_digest(&none);
}
