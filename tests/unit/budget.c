// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/budget.h"

enum { SECONDS = 200, FIRST = 1000 };

static const uint64_t key[2] = {1, 2};
static struct budget budget;

BEFORE_EACH
{
    assert_true(budget_init(&budget, key));
}

AFTER_EACH
{
    budget_finish(&budget);
}

static struct address host(const char *text)
{
    struct address address;

    assert_true(address_parse(text, &address));
    return address;
}

static struct address numbered(unsigned number)
{
    struct address address = host("10.0.0.0");

    address.ip.s6_addr[14] = (uint8_t)(number >> 8);
    address.ip.s6_addr[15] = (uint8_t)number;
    return address;
}

static unsigned ask(struct address address, unsigned times, unsigned second)
{
    unsigned allowed = 0;

    for (unsigned i = 0; i < times; i++) {
        address.port = (uint16_t)i; // makes no difference
        allowed += budget_allow(&budget, &address, second * TICKS_PER_SECOND);
    }
    return allowed;
}

TEST(who_asks_for_little_has_it_all)
{
    for (unsigned second = FIRST; second < FIRST + SECONDS; second++) {
        assert_int_equal(ask(host("192.0.2.1"), 40, second), 40);
        assert_int_equal(ask(host("192.0.2.2"), 40, second), 40);
    }
}

TEST(the_first_second_counts)
{
    assert_int_equal(ask(host("192.0.2.1"), 40, 0), 40);
}

// More than half is nobody's, and the rest is there for the others.
TEST(a_host_that_floods_leaves_enough_for_another_one)
{
    unsigned of_flood = 0;

    for (unsigned second = FIRST; second < FIRST + SECONDS; second++) {
        unsigned before = ask(host("192.0.2.1"), 700, second);

        assert_int_equal(ask(host("192.0.2.2"), 11, second), 11);
        before += ask(host("192.0.2.1"), 300, second);
        assert_true(before <= BUDGET_PER_HOST);
        of_flood += before;
    }
    assert_true(of_flood > SECONDS * BUDGET_PER_HOST * 8 / 10);
}

TEST(many_hosts_that_flood_leave_others_their_share)
{
    unsigned honest = 0, in_all = 0;

    for (unsigned second = FIRST; second < FIRST + SECONDS; second++) {
        unsigned given = 0;

        for (unsigned i = 0; i < 20; i++)
            given += ask(numbered(i), 100, second);
        unsigned mine = ask(host("192.0.2.2"), 2, second);
        assert_true(given + mine <= BUDGET_IN_ALL);
        honest += mine;
        in_all += given;
    }
    assert_true(honest > 2 * SECONDS * 8 / 10);
    assert_true(in_all > SECONDS * BUDGET_IN_ALL * 7 / 10);
}

// It does not matter who comes first.
TEST(chance_decides_where_all_ask_for_the_same)
{
    enum { HOSTS = 400 };
    unsigned first_half = 0, second_half = 0;

    for (unsigned second = FIRST; second < FIRST + SECONDS; second++)
        for (unsigned i = 0; i < HOSTS; i++)
            *(i < HOSTS / 2 ? &first_half : &second_half) += ask(numbered(i), 1, second);
    assert_true(second_half * 10 > first_half * 8);
    assert_true(first_half + second_half > SECONDS * BUDGET_IN_ALL * 7 / 10);
}

TEST(a_flood_is_forgotten_when_it_is_over)
{
    for (unsigned i = 0; i < 5000; i++)
        ask(numbered(i), 3, FIRST);
    for (unsigned i = 0; i < 5000; i++)
        ask(numbered(i), 3, FIRST + 1);
    assert_int_equal(ask(host("192.0.2.2"), 50, FIRST + 3), 50);
}

// One question that is answered is enough to measure it by.
TEST(after_a_flood_the_share_grows_again)
{
    unsigned number = 0;

    for (unsigned i = 0; i < 5000; i++)
        ask(numbered(i), 3, FIRST);
    while (ask(numbered(number), 1, FIRST + 1) == 0)
        number++;
    assert_in_range(ask(host("192.0.2.2"), 50, FIRST + 2), 10, 49);
}

// 2^16 and one more are not taken for one.
TEST(a_host_that_asks_for_more_than_can_be_counted_is_not_taken_for_one_that_asks_for_little)
{
    ask(host("192.0.2.1"), (1 << 16) + 1, FIRST);
    assert_int_equal(ask(host("192.0.2.1"), 20, FIRST + 1), 0);
}

// Here nobody won in a second: the share is that of the beginning again.
TEST(a_second_without_winners_does_not_count)
{
    ask(host("192.0.2.1"), 60000, FIRST);
    assert_int_equal(ask(host("192.0.2.1"), 1, FIRST + 1), 0);
    assert_int_equal(ask(host("192.0.2.2"), 50, FIRST + 2), 50);
}

TEST(a_network_of_ipv6_is_one_host)
{
    assert_int_equal(ask(host("2001:db8:0:1200::1"), 50, FIRST), 50);
    assert_int_equal(ask(host("2001:db8:0:12ff:ffff::2"), 1, FIRST), 0);
    assert_int_equal(ask(host("2001:db8:0:1300::1"), 50, FIRST), 50);
}

TEST(neighbours_on_a_link_are_hosts)
{
    struct address one = host("fe80::1"), other = host("fe80::2");

    one.scope = other.scope = 1;
    assert_int_equal(ask(one, 60, FIRST), 50);
    assert_int_equal(ask(other, 30, FIRST), 30);
    one.scope = 2;
    assert_int_equal(ask(one, 20, FIRST), 20);
}

TEST(what_another_has_given_is_given)
{
    struct budget_kept kept = {
        .second = FIRST, .won = 40, .given = BUDGET_IN_ALL - 3, .share = BUDGET_PER_HOST * 65536};

    budget_take_kept(&budget, &kept);
    assert_int_equal(ask(host("10.1.2.3"), 50, FIRST), 3);
    assert_int_equal(ask(host("10.1.2.3"), 50, FIRST + 1), 50);
}

TEST(what_is_kept_is_within_the_bounds)
{
    struct budget_kept kept = {.second = FIRST, .given = UINT32_MAX, .share = UINT32_MAX};

    budget_take_kept(&budget, &kept);
    assert_int_equal(ask(host("10.1.2.3"), 50, FIRST), 0);
    kept.given = 0;
    budget_take_kept(&budget, &kept);
    assert_int_equal(budget.now.share, BUDGET_PER_HOST * 65536);
    kept.share = 0; // nobody has any, for a second
    budget_take_kept(&budget, &kept);
    assert_int_equal(ask(host("10.1.2.4"), 50, FIRST), 0);
    assert_int_equal(ask(host("10.1.2.4"), 50, FIRST + 1), 50);
}
