// SPDX-License-Identifier: MIT
// Linked with --wrap=calloc.
#include "unit.h"

#include "core/peers.h"

enum { WINDOW = 60 * TICKS_PER_SECOND };

static const uint64_t key[2] = {1, 2};
static struct peers peers;
static unsigned fails_at; // which of the next allocations; 0: none

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
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

    for (unsigned i = 1; i <= 3; i++) {
        fails_at = i;
        assert_false(peers_init(&other, key));
        assert_int_equal(fails_at, 0);
        peers_finish(&other);
    }
}

TEST(the_key_is_taken_whole)
{
    assert_int_equal(peers.key[0], 1);
    assert_int_equal(peers.key[1], 2);
}

TEST(a_peer_is_new_once)
{
    assert_true(heard(1, 100));
    assert_false(heard(1, 100));
    assert_false(heard(1, 200));
    assert_int_equal(peers.count, 1);
}

TEST(address_and_port_make_a_peer)
{
    struct address address = peer_of(1);
    bool first;

    peers_heard(&peers, &address, 0, &first);
    address.port++;
    peers_heard(&peers, &address, 0, &first);
    assert_true(first);
    address.ip.s6_addr[0]++;
    peers_heard(&peers, &address, 0, &first);
    assert_true(first);
    assert_int_equal(peers.count, 3);
}

TEST(one_address_on_two_links_is_two_peers)
{
    struct address address;
    bool first;

    assert_true(address_parse("fe80::2", &address));
    address.port = 5000;
    for (address.scope = 1; address.scope <= 2; address.scope++) {
        uint32_t peer = peers_heard(&peers, &address, 400, &first);

        assert_true(first);
        for (int i = 0; i < PEERS_LONGER_PER_PEER; i++)
            assert_true(peers_allow_longer(&peers, peer, 400));
        assert_false(peers_allow_longer(&peers, peer, 400));
    }
    assert_int_equal(peers.count, 2);
}

// Of so many, some are in one chain.
TEST(one_address_on_many_links_is_many_peers)
{
    struct address address;
    bool first;

    assert_true(address_parse("fe80::2", &address));
    for (address.scope = 1; address.scope <= 2000; address.scope++) {
        peers_heard(&peers, &address, 400, &first);
        assert_true(first);
    }
    assert_int_equal(peers.count, 2000);
}

TEST(a_peer_is_forgotten_after_the_window)
{
    heard(1, 100);
    heard(2, 101);
    peers_expire(&peers, 100 + WINDOW);
    assert_int_equal(peers.count, 2);
    peers_expire(&peers, 100 + WINDOW + 1);
    assert_int_equal(peers.count, 1);
    assert_false(heard(2, 100 + WINDOW + 1));
    assert_true(heard(1, 100 + WINDOW + 1));
}

TEST(being_heard_again_begins_the_window_anew)
{
    heard(1, 100);
    heard(2, 100);
    heard(1, 100 + WINDOW);
    peers_expire(&peers, 100 + WINDOW + 1);
    assert_int_equal(peers.count, 1);
    assert_false(heard(1, 100 + WINDOW + 1));
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
}

TEST(many_are_forgotten_some_at_a_time_and_counted_no_more_at_once)
{
    enum { MANY = 3 * PEERS_FORGOTTEN_MAX + 1, LATE = 100 + WINDOW + 1 };

    for (uint32_t i = 0; i < MANY; i++)
        heard(i, 100);
    heard(MANY, 101);
    for (uint32_t left = 4; left > 0; left--) {
        assert_true(peers_next(&peers) <= LATE + 4 * TICKS_PER_SECOND);
        peers_expire(&peers, LATE);
        assert_int_equal(peers.count, 1);
        assert_int_equal(peers.known, left > 1 ? MANY + 1 - (5 - left) * PEERS_FORGOTTEN_MAX : 1);
    }
    assert_false(heard(MANY, LATE));
}

TEST(who_is_active_no_more_is_new_though_not_yet_forgotten)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        heard(i, 100);
    assert_true(heard(7, 100 + WINDOW + 1));
    assert_int_equal(peers.count, 1);
    assert_false(heard(7, 100 + WINDOW + 1));
    assert_true(heard(PEERS_MAX, 100 + WINDOW + 1)); // takes the place of one that does not count
    assert_int_equal(peers.count, 2);
}

TEST(a_count_outlasts_any_pause)
{
    heard(1, 100);
    for (ticks pause = WINDOW + 1; pause < 1000000; pause = pause * 3 / 2) {
        ticks now = peers.now + pause;

        assert_true(heard(1, now));
        assert_true(heard(2, now));
        assert_int_equal(peers.count, 2);
    }
}

TEST(longer_answers_are_few_for_each_and_in_all)
{
    unsigned allowed = 0;
    bool first;

    for (uint32_t i = 0; i < 20; i++) {
        struct address address = peer_of(2 * i);
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

// Answers that a peer gets until one is left out, if the digest of the I-th is I % IN_FLIGHT.
static uint32_t rounds(uint32_t peer, uint32_t in_flight)
{
    uint32_t count = 0;

    while (peers_allow_round(&peers, peer, 1000 + count % in_flight))
        count++;
    return count;
}

TEST(a_loop_ends)
{
    // 1 datagram in flight, some, many, and one that comes back changed each time.
    static const struct {
        uint32_t in_flight, most;
    } row[] = {{1, 16384}, {2, 33000}, {10, 150000}, {100, 710000}, {255, 1 << 20}, {-1U, 1 << 20}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct address address = peer_of((uint32_t)i);
        bool first;
        uint32_t peer = peers_heard(&peers, &address, 100, &first);

        for (int repeated = 0; repeated < 3; repeated++) {
            uint32_t count = rounds(peer, row[i].in_flight);

            assert_true(count <= row[i].most);
            assert_true(count >= 16383); // a datagram in 16384 is what an honest peer loses
        }
    }
}

// Who numbers datagrams loses one of a million, also after a time of saying the same.
TEST(who_says_new_things_is_hardly_ever_left_out)
{
    struct address address = peer_of(1);
    bool first;
    uint32_t peer = peers_heard(&peers, &address, 100, &first);

    for (uint32_t i = 0; i < 1000; i++)
        assert_true(peers_allow_round(&peers, peer, 5));
    assert_in_range(rounds(peer, -1U), 950000, 1 << 20);
    assert_in_range(rounds(peer, -1U), (1 << 20) - 1, 1 << 20);
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
        if (chance_below(&chance, 3) == 0)
            peers_expire(&peers, now);
        now += (ticks)(chance_below(&chance, 10) == 0 ? chance_below(&chance, 40) : 0);
    }
    assert_true(peers.used <= FEW);
}

static bool same(const struct peer_kept *a, const struct peer_kept *b)
{
    return address_same(&a->address, &b->address) && a->heard == b->heard &&
           a->second == b->second && a->digest == b->digest && a->weight == b->weight &&
           a->longer == b->longer && a->rounds == b->rounds;
}

// What another table is that has taken all in at NOW.
static struct peers taken_at(ticks now)
{
    struct peers other;
    struct peer_kept kept;
    uint32_t count = 0;

    assert_true(peers_init(&other, (uint64_t[2]){3, 4}));
    for (uint32_t at = 0; peers_next_kept(&peers, &at, &kept); count++)
        peers_take_kept(&other, &kept, now);
    assert_int_equal(count, peers.known);
    return other;
}

static void expect_same_tables(const struct peers *other)
{
    struct peer_kept kept, theirs;
    uint32_t at = 0, there = 0;

    assert_int_equal(other->known, peers.known);
    assert_int_equal(other->count, peers.count);
    while (peers_next_kept(&peers, &at, &kept)) {
        assert_true(peers_next_kept(other, &there, &theirs));
        assert_true(same(&kept, &theirs));
    }
    assert_false(peers_next_kept(other, &there, &theirs));
}

TEST(another_table_goes_on_as_this_one)
{
    struct chance chance = chance_start(4);
    ticks now = 100;
    bool first;

    for (int i = 0; i < 5000; i++) {
        struct address address = peer_of((uint32_t)chance_below(&chance, 300));
        uint32_t peer = peers_heard(&peers, &address, now, &first);

        for (uint64_t left = chance_below(&chance, 5); left > 0; left--)
            peers_allow_round(&peers, peer, (uint32_t)chance_below(&chance, 3));
        if (chance_one_in(&chance, 3))
            peers_allow_longer(&peers, peer, now);
        now += (ticks)chance_below(&chance, 2);
    }
    struct peers other = taken_at(now);
    expect_same_tables(&other);
    for (ticks later = now; later < now + 2 * WINDOW; later++) {
        peers_expire(&peers, later);
        peers_expire(&other, later);
        expect_same_tables(&other);
    }
    peers_finish(&other);
}

TEST(a_quota_that_is_used_up_stays_so)
{
    struct address address = peer_of(1);
    bool first;
    uint32_t peer = peers_heard(&peers, &address, 400, &first);

    for (int i = 0; i < PEERS_LONGER_PER_PEER; i++)
        assert_true(peers_allow_longer(&peers, peer, 400));
    struct peers other = taken_at(401);
    peer = peers_heard(&other, &address, 401, &first);
    assert_false(first);
    assert_false(peers_allow_longer(&other, peer, 401));
    assert_true(peers_allow_longer(&other, peer, 404));
    peers_finish(&other);
}

TEST(whatever_is_told_of_peers_the_table_is_in_order)
{
    static const struct {
        ticks told, heard;
    } row[] = {{50, 50}, {40, 50}, {60, 60}, {1000, 100}, {70, 100}, {TICKS_NEVER, 100}};
    struct peer_kept kept;
    uint32_t at = 0;

    for (uint32_t i = 0; i < ARRAY_LENGTH(row); i++) {
        kept = (struct peer_kept){
            .address = peer_of(i), .heard = row[i].told, .longer = UINT8_MAX, .weight = UINT32_MAX};
        peers_take_kept(&peers, &kept, 100);
    }
    for (uint32_t i = 0; i < ARRAY_LENGTH(row); i++) {
        assert_true(peers_next_kept(&peers, &at, &kept));
        assert_int_equal(kept.heard, row[i].heard);
        assert_int_equal(kept.longer, PEERS_LONGER_PER_PEER);
        assert_false(peers_allow_longer(&peers, at, 0)); // of the very second that is told
    }
    assert_int_equal(peers.count, ARRAY_LENGTH(row));
    peers_expire(&peers, 100 + WINDOW + 1);
    assert_int_equal(peers.known, 0);
    assert_int_equal(peers.count, 0);
}

TEST(who_is_known_already_is_left_out)
{
    struct peer_kept kept = {.address = peer_of(1), .heard = 10, .weight = 5}, found;
    uint32_t at = 0;

    heard(1, 20);
    peers_take_kept(&peers, &kept, 30);
    assert_int_equal(peers.known, 1);
    assert_true(peers_next_kept(&peers, &at, &found));
    assert_int_equal(found.heard, 20);
    assert_int_equal(found.weight, 0);
    assert_false(peers_next_kept(&peers, &at, &found));
}

TEST(who_is_active_no_more_is_kept_and_not_counted)
{
    struct peer_kept kept = {.address = peer_of(1), .heard = 10};

    peers_take_kept(&peers, &kept, 10 + WINDOW + 1);
    assert_int_equal(peers.known, 1);
    assert_int_equal(peers.count, 0);
    kept.address = peer_of(2);
    kept.heard = 11;
    peers_take_kept(&peers, &kept, 10 + WINDOW + 1);
    assert_int_equal(peers.count, 1);
}

TEST(more_than_there_are_places_for_are_taken_in_as_they_are_heard)
{
    for (uint32_t i = 0; i < PEERS_MAX + 10; i++) {
        struct peer_kept kept = {.address = peer_of(i), .heard = 50};

        peers_take_kept(&peers, &kept, 100);
    }
    assert_int_equal(peers.known, PEERS_MAX);
    assert_int_equal(peers.count, PEERS_MAX);
    assert_true(heard(0, 100));
    assert_false(heard(PEERS_MAX + 9, 100));
}
