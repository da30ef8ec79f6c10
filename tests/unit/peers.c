// SPDX-License-Identifier: MIT
// Linked with --wrap=calloc.
#include "unit.h"

#include "core/peers.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { WINDOW = 60 * TICKS_PER_SECOND };

static const uint64_t key[2] = {1, 2};
static struct peers peers;
static unsigned fails_at; // which of the next allocations; 0: none

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fails_at > 0 && --fails_at == 0 ? NULL : __real_calloc(count, size);
}

BEFORE_EACH
{
    assert_true(peers_init(&peers, key));
}

AFTER_EACH
{
    peers_finish(&peers);
}

// The NUMBER-th of many peers: every byte of an address and the port take their turn.
static struct address peer_of(uint32_t number)
{
    struct address address;

    assert_true(address_parse(number % 2 ? "2001:db8::" : "10.0.0.0", &address));
    memcpy(address.ip.s6_addr + 12, &number, sizeof number);
    address.port = (uint16_t)(1024 + number % 7);
    return address;
}

// Whether the NUMBER-th was not active.
static bool heard(uint32_t number, ticks now)
{
    struct address address = peer_of(number);
    bool first;

    assert_int_not_equal(peers_heard(&peers, &address, now, &first), 0);
    return first;
}

TEST(without_memory_it_says_so)
{
    struct peers other;

    for (unsigned i = 1; i <= 2; i++) {
        fails_at = i;
        assert_false(peers_init(&other, key));
        assert_int_equal(fails_at, 0);
        peers_finish(&other);
    }
}

TEST(address_and_port_make_a_peer)
{
    struct address address = peer_of(1);
    bool first;

    assert_int_equal(peers.key[0], 1); // taken whole
    assert_int_equal(peers.key[1], 2);
    peers_heard(&peers, &address, 0, &first);
    address.port++;
    peers_heard(&peers, &address, 0, &first);
    assert_true(first);
    address.ip.s6_addr[0]++;
    peers_heard(&peers, &address, 0, &first);
    assert_true(first);
    assert_int_equal(peers.count, 3);
}

TEST(a_peer_is_forgotten_after_the_window)
{
    heard(1, 99);
    heard(1, 100); // which begins the window anew
    heard(2, 101);
    peers_expire(&peers, 100 + WINDOW);
    assert_int_equal(peers.count, 2);
    peers_expire(&peers, 100 + WINDOW + 1);
    assert_int_equal(peers.count, 1);
    assert_false(heard(2, 100 + WINDOW + 1));
    assert_true(heard(1, 100 + WINDOW + 1));
}

TEST(at_the_bound_the_longest_silent_is_forgotten)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        assert_true(heard(i, 100 + i / 1000));
    assert_int_equal(peers.count, PEERS_MAX);
    assert_false(heard(0, 140)); // now 1 is the longest silent
    assert_true(heard(PEERS_MAX, 140));
    assert_int_equal(peers.count, PEERS_MAX);
    assert_false(heard(0, 140));
    assert_false(heard(2, 140));
    assert_true(heard(1, 140)); // takes the place of 3
    assert_true(heard(3, 140));
    assert_int_equal(peers.count, PEERS_MAX);
}

TEST(a_flood_of_sources_leaves_the_table_whole)
{
    for (uint32_t i = 0; i < 10 * PEERS_MAX; i++)
        assert_true(heard(i, 100));
    assert_int_equal(peers.count, 32768);
    assert_int_equal(peers.used, 32768);
    peers_expire(&peers, 100 + WINDOW + 1);
    assert_int_equal(peers.count, 0);
    assert_int_equal(peers.oldest, 0);
    assert_int_equal(peers.newest, 0);
}

TEST(longer_answers_are_few_for_each_and_in_all)
{
    unsigned allowed = 0;
    bool first;

    for (uint32_t i = 0; i < 20; i++) {
        struct address address = peer_of(i);
        uint32_t peer = peers_heard(&peers, &address, 400, &first);
        unsigned of_peer = 0;

        for (int ask = 0; ask < 50; ask++)
            of_peer += peers_allow_longer(&peers, peer, 400);
        assert_int_equal(of_peer, i < 10 ? 10 : 0);
        allowed += of_peer;
    }
    assert_int_equal(allowed, 100);
    assert_false(peers_allow_longer(&peers, 1, 400 + TICKS_PER_SECOND - 1));
    assert_true(peers_allow_longer(&peers, 1, 400 + TICKS_PER_SECOND));
}

TEST(the_next_expiry_is_at_a_whole_period_and_not_early)
{
    enum { PERIOD = 4 * TICKS_PER_SECOND };

    assert_int_equal(peers_next(&peers), TICKS_NEVER);
    for (ticks now = 1000; now < 1000 + 2 * PERIOD; now++) {
        heard(1, now);
        ticks next = peers_next(&peers);

        assert_int_equal(next % PERIOD, 0);
        assert_true(next > now + WINDOW && next <= now + WINDOW + PERIOD);
    }
    peers_expire(&peers, peers_next(&peers));
    assert_int_equal(peers.count, 0);
}

// What the table should know, as an array of when each of a few peers was heard.
enum { FEW = 200, NEVER_HEARD = 0 };

static uint32_t active(const ticks heard_at[FEW], ticks now)
{
    uint32_t count = 0;

    for (size_t i = 0; i < FEW; i++)
        count += heard_at[i] != NEVER_HEARD && now - heard_at[i] <= WINDOW;
    return count;
}

TEST(the_table_agrees_with_a_plain_array)
{
    struct chance chance = chance_start(2);
    ticks heard_at[FEW] = {NEVER_HEARD}, now = 1;

    for (int i = 0; i < 20000; i++) {
        uint32_t number = (uint32_t)chance_below(&chance, FEW);
        bool fresh = heard_at[number] == NEVER_HEARD || now - heard_at[number] > WINDOW;

        assert_int_equal(heard(number, now), fresh);
        heard_at[number] = now;
        assert_int_equal(peers.count, active(heard_at, now));
        now += (ticks)(chance_below(&chance, 10) == 0 ? chance_below(&chance, 40) : 0);
    }
    assert_true(peers.used <= FEW);
}
