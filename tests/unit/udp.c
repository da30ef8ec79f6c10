// SPDX-License-Identifier: MIT
// A turn of a port for datagrams: recvmmsg(2) and sendmmsg(2) are the test's, and hold what Linux
// would say.
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "ground/log.h"
#include "transport/udp.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { PORT = 7777, PEER_PORT = 40000, MESSAGES_MAX = 8 };

// A datagram; and its answer: what is sent, from where, and how far.
struct message {
    const char *peer, *local, *bytes;
    const char *beside; // ipi_spec_dst; NULL: as `local`
    int interface, hops;
    unsigned fragment;
};

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct pool pool;
    struct udp udp;
    struct port port;
    struct message in[MESSAGES_MAX];
    unsigned came, asked; // messages
    const int *results;   // of sendmmsg: a count, or a negative errno; 0 at the end: all
    char sent[8192];      // a part for each message that goes out
    struct text text;
    unsigned calls;
    uint64_t bytes; // that have gone out
    char logged[200];
    int class;     // the traffic class that is told of every datagram, unless it is 0
    bool strange;  // what stands beside datagrams, of levels that have other meanings for it
    uint32_t lost; // by the socket so far, unless it is 0
    int segment;   // the size of the datagrams that every message is said to be of, unless it is 0
} test;

static struct address parsed(const char *string, uint16_t port)
{
    struct address address;

    assert_true(address_parse(string, &address));
    address.port = port;
    return address;
}

static void put(struct msghdr *message, struct cmsghdr **at, int level, int type, const void *data,
                size_t length)
{
    **at = (struct cmsghdr){CMSG_LEN(length), level, type};
    memcpy(CMSG_DATA(*at), data, length);
    *at = (struct cmsghdr *)((char *)*at + CMSG_SPACE(length));
    message->msg_controllen = (size_t)((char *)*at - (char *)message->msg_control);
}

// The other level has other meanings for the same numbers.
static void put_other(struct msghdr *message, struct cmsghdr **at)
{
    const struct in_pktinfo v4 = {0};
    const struct in6_pktinfo v6 = {.ipi6_ifindex = 0};
    const int one = 1;

    if (test.strange) { // there is no room for all of them
        put(message, at, SOL_SOCKET, UDP_GRO, &one, sizeof one);
        put(message, at, IPPROTO_UDP, SO_RXQ_OVFL, &one, sizeof one);
        return;
    }
    put(message, at, IPPROTO_IPV6, IP_PKTINFO, &v4, sizeof v4);
    put(message, at, IPPROTO_IP, IPV6_PKTINFO, &v6, sizeof v6);
}

// IPv4 comes with IPv4's control messages, and on IPv6's sockets with IPv6's address too.
static void receive(const struct message *in, struct mmsghdr *into)
{
    struct msghdr *message = &into->msg_hdr;
    struct cmsghdr *at = message->msg_control;
    struct address peer = parsed(in->peer, PEER_PORT), local = parsed(in->local, 0);
    struct in6_pktinfo v6 = {local.ip, (unsigned)in->interface};
    const int none = 0;

    message->msg_namelen = address_store(&peer, AF_INET6, message->msg_name);
    const uint8_t class = (uint8_t)test.class; // IPv4 has a single byte

    if (address_is_v4(&peer)) {
        struct address beside = parsed(in->beside ? in->beside : in->local, 0);
        struct in_pktinfo v4 = {in->interface, address_v4(&beside), address_v4(&local)};

        put(message, &at, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
        put(message, &at, IPPROTO_IP, IP_TTL, &in->hops, sizeof in->hops);
        v6.ipi6_addr = parsed("::ffff:9.9.9.9", 0).ip;
        put(message, &at, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
        put(message, &at, IPPROTO_IP, IPV6_RECVFRAGSIZE, &in->fragment, sizeof in->fragment);
    } else {
        put(message, &at, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
        put(message, &at, IPPROTO_IPV6, IPV6_HOPLIMIT, &in->hops, sizeof in->hops);
        put(message, &at, IPPROTO_IP, IPV6_HOPLIMIT, &none, sizeof none);
        put(message, &at, IPPROTO_IPV6, IPV6_RECVFRAGSIZE, &in->fragment, sizeof in->fragment);
    }
    if (test.class > 0 && address_is_v4(&peer))
        put(message, &at, IPPROTO_IP, IP_TOS, &class, sizeof class);
    else if (test.class > 0)
        put(message, &at, IPPROTO_IPV6, IPV6_TCLASS, &test.class, sizeof test.class);
    if (test.lost != 0)
        put(message, &at, SOL_SOCKET, SO_RXQ_OVFL, &test.lost, sizeof test.lost);
    if (test.segment != 0)
        put(message, &at, IPPROTO_UDP, UDP_GRO, &test.segment, sizeof test.segment);
    put_other(message, &at);
    into->msg_len = (unsigned)strlen(in->bytes);
    memcpy(message->msg_iov->iov_base, in->bytes,
           size_min(into->msg_len, message->msg_iov->iov_len));
}

int __wrap_recvmmsg(int fd, struct mmsghdr *in, unsigned count, int flags, struct timespec *timeout)
{
    assert_true(fd == 3 && !timeout);
    test.asked = count;
    assert_int_equal(flags, MSG_TRUNC | MSG_DONTWAIT);
    for (unsigned i = 0; i < count; i++) {
        const struct iovec *room = in[i].msg_hdr.msg_iov;

        assert_int_equal(in[i].msg_hdr.msg_namelen, sizeof(struct sockaddr_storage));
        assert_true(in[i].msg_hdr.msg_controllen >= 128);
        assert_int_equal(in[i].msg_hdr.msg_iovlen, test.port.role->blind ? 0 : 1);
        memset(room->iov_base, 'x', room->iov_len);
    }
    for (unsigned i = 0; i < test.came; i++)
        receive(&test.in[i], &in[i]);
    return (int)test.came;
}

void __wrap_net_fragment(int fd, unsigned bytes)
{
    assert_int_equal(fd, 3);
    text_format(&test.text, "fragment %u;", bytes);
}

// As the kernel cuts them: SEGMENT bytes each.
static void send_bytes(const struct iovec *all, size_t segment)
{
    for (size_t at = 0; at < all->iov_len; at += segment) {
        text_string(&test.text, at > 0 ? "|" : "");
        text_bytes(&test.text, (char *)all->iov_base + at, size_min(segment, all->iov_len - at));
    }
}

static void send_one(struct msghdr *message)
{
    struct address from = {.port = 0}, peer = address_of(message->msg_name);
    uint16_t segment = UINT16_MAX;
    int hops = -1, class = -1;
    struct in_pktinfo v4;
    struct in6_pktinfo v6;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
            memcpy(&v4, CMSG_DATA(at), sizeof v4);
            from = address_of_v4(v4.ipi_spec_dst);
            from.scope = (uint32_t)v4.ipi_ifindex;
        } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
            memcpy(&v6, CMSG_DATA(at), sizeof v6);
            from.ip = v6.ipi6_addr;
            from.scope = v6.ipi6_ifindex;
        } else if (at->cmsg_level == IPPROTO_UDP) {
            assert_int_equal(at->cmsg_type, UDP_SEGMENT);
            memcpy(&segment, CMSG_DATA(at), sizeof segment);
            assert_in_range(segment, 1, message->msg_iov->iov_len - 1);
        } else if (at->cmsg_type == (at->cmsg_level == IPPROTO_IP ? IP_TOS : IPV6_TCLASS)) {
            memcpy(&class, CMSG_DATA(at), sizeof class);
        } else {
            assert_int_equal(at->cmsg_type, at->cmsg_level == IPPROTO_IP ? IP_TTL : IPV6_HOPLIMIT);
            memcpy(&hops, CMSG_DATA(at), sizeof hops);
        }
    }
    assert_int_equal(peer.port, PEER_PORT);
    assert_int_equal(message->msg_iovlen, 1);
    if (test.class > 0 || class >= 0)
        assert_int_equal(class, test.class & ~3); // all but ECN
    send_bytes(message->msg_iov, segment);
    text_format(&test.text, " %s %u %d;", ADDRESS_STRING(&from), from.scope, hops);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *out, unsigned count, int flags)
{
    assert_true(fd == 3 && count > 0 && flags == (MSG_NOSIGNAL | MSG_DONTWAIT));
    int result = test.results ? test.results[test.calls] : (int)count;

    test.calls++;
    if (result < 0) {
        errno = -result;
        return -1;
    }
    for (int i = 0; i < result; i++) {
        send_one(&out[i].msg_hdr);
        out[i].msg_len = (unsigned)out[i].msg_hdr.msg_iov->iov_len;
        test.bytes += out[i].msg_len;
    }
    return result;
}

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    struct text text = text_in(test.logged, sizeof test.logged);
    char room[LOG_VALUE_MAX];

    (void)level, (void)suppressed;
    for (size_t i = 0; i < count; i++)
        text_format(&text, "%s ", log_value(&fields[i], room));
    text_end(&text);
    return true;
}

static void begin(unsigned max_datagram)
{
    memset(&test, 0, sizeof test);
    log_set_sink(note);
    log_set_level(LOG_INFO);
    test.options = (struct options){.max_line = 100, .max_datagram = max_datagram};
    assert_true(peers_init(&test.service.peers, (uint64_t[2]){1, 2}));
    assert_true(pool_init(&test.pool, &test.loop, &test.options, &test.service));
    assert_true(udp_init(&test.udp, &test.pool));
    test.port = (struct port){.watch.fd = 3,
                              .role = &role_echo,
                              .pool = &test.pool,
                              .protocol = PROTOCOL_UDP,
                              .local.port = PORT};
}

BEFORE_EACH
{
    begin(100);
}

static void end(void)
{
    udp_finish(&test.udp);
    pool_finish(&test.pool);
    peers_finish(&test.service.peers);
    log_set_sink(NULL);
}

AFTER_EACH
{
    end();
}

static void begin_again(unsigned max_datagram)
{
    end();
    begin(max_datagram);
}

static void turn(void)
{
    test.text = text_in(test.sent, sizeof test.sent);
    test.calls = 0;
    udp_ready(&test.udp, &test.port);
    text_end(&test.text);
    assert_int_equal(test.service.counters.sent[PROTOCOL_UDP], test.bytes);
}

static void expect(const struct message *in, const char *sent)
{
    test.in[0] = *in;
    test.came = 1;
    turn();
    assert_string_equal(test.sent, sent);
}

TEST(an_answer_comes_from_where_it_was_asked_and_has_a_hop_less)
{
    static const struct {
        struct message in;
        const char *sent;
    } row[] = {
        {{"192.0.2.1", "192.0.2.9", "a", NULL, 3, 64, 0}, "a 192.0.2.9:0 0 63;"},
        {{"192.0.2.1", "192.0.2.9", "", NULL, 3, 255, 0}, " 192.0.2.9:0 0 254;"},
        {{"192.0.2.1", "192.0.2.9", "b", NULL, 3, 2, 0}, "b 192.0.2.9:0 0 1;"},
        {{"192.0.2.1", "192.0.2.9", "c", NULL, 3, 1, 0}, ""},
        {{"192.0.2.1", "192.0.2.255", "d", "192.0.2.9", 3, 64, 0}, ""}, // a broadcast
        {{"192.0.2.1", "192.0.2.9", "e", "0.0.0.0", 3, 64, 0}, "e 192.0.2.9:0 0 63;"},
        {{"2001:db8::1", "2001:db8::9", "f", NULL, 3, 64, 0}, "f [2001:db8::9]:0 0 63;"},
        {{"fe80::1", "fe80::9", "g", NULL, 3, 64, 0}, "g [fe80::9%3]:0 3 63;"},
        {{"192.0.2.1", "192.0.2.9", "ERR x", NULL, 3, 64, 0}, ""},
        {{"192.0.2.1", "192.0.2.9", "/whoami", NULL, 3, 64, 0},
         "proto=udp peer=192.0.2.1:40000 local=192.0.2.9:7777\n 192.0.2.9:0 0 63;"},
    };

    log_set_level(LOG_DEBUG);
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        expect(&row[i].in, row[i].sent);
        assert_int_equal(
            test.service.counters.udp_answered + counters_dropped(&test.service.counters), i + 1);
    }
    assert_int_equal(counters_dropped(&test.service.counters), 3);
    assert_int_equal(test.service.counters.total_clients, 3);
    assert_string_equal(test.logged, "turn udp 3 1 1 1 ");
}

// The guard looks at the first four bytes, however few are wanted.
TEST(a_datagram_that_is_too_long_is_told_so)
{
    static const struct {
        unsigned most;
        const char *bytes, *sent;
    } row[] = {
        {5, "12345", "12345 192.0.2.9:0 0 63;"},
        {5, "123456", "ERR datagram-truncated\n 192.0.2.9:0 0 63;"},
        {2, "12", "12 192.0.2.9:0 0 63;"},
        {2, "123", "ERR datagram-truncated\n 192.0.2.9:0 0 63;"},
        {2, "ERR x", ""},
        {2, "ERR", "ERR datagram-truncated\n 192.0.2.9:0 0 63;"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(row[i].most);
        expect(&(struct message){"192.0.2.1", "192.0.2.9", row[i].bytes, NULL, 1, 64, 0},
               row[i].sent);
    }
}

TEST(what_cannot_be_sent_keeps_no_other_back)
{
    static const struct {
        int results[6];
        unsigned calls;
        const char *sent;
    } row[] = {
        {{5}, 1, "abcde"},         {{2, 3}, 2, "abcde"},     {{0}, 1, ""},
        {{1, 0}, 2, "a"},          {{-EAGAIN}, 1, ""},       {{3, -ENOBUFS}, 2, "abc"},
        {{-EINTR, 5}, 2, "abcde"}, {{-EPERM, 4}, 2, "bcde"}, {{1, -EMSGSIZE, -EINVAL, 2}, 4, "ade"},
        {{4, -EACCES}, 2, "abcd"},
    };
    const struct counters *counters = &test.service.counters;

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        const struct counters before = *counters;
        char sent[6] = "", *end = sent;

        for (test.came = 0; test.came < 5; test.came++)
            test.in[test.came] = (struct message){
                "192.0.2.1", "192.0.2.9", &"a\0b\0c\0d\0e"[2 * test.came], NULL, 1, 64, 0};
        test.results = row[i].results;
        turn();
        for (const char *at = test.sent; *at; at = strchr(at, ';') + 1)
            *end++ = *at;
        assert_string_equal(sent, row[i].sent);
        assert_int_equal(test.calls, row[i].calls);
        assert_int_equal(counters->udp_answered - before.udp_answered, strlen(sent));
        assert_int_equal(counters_dropped(counters) - counters_dropped(&before), 5 - strlen(sent));
    }
}

TEST(who_is_refused_leaves_no_gap_among_the_answers)
{
    test.in[0] = (struct message){"192.0.2.1", "192.0.2.9", "ERR x", NULL, 1, 64, 0};
    test.in[1] = (struct message){"192.0.2.1", "192.0.2.9", "/unknown", NULL, 1, 64, 0};
    test.in[2] = (struct message){"192.0.2.2", "192.0.2.9", "a", NULL, 1, 64, 0};
    test.in[3] = (struct message){"192.0.2.2", "192.0.2.9", "/none", NULL, 1, 64, 0};
    test.came = 4;
    log_set_level(LOG_DEBUG);
    turn();
    assert_string_equal(test.sent, "ERR unknown-command\n 192.0.2.9:0 0 63;a 192.0.2.9:0 0 63;"
                                   "ERR unknown-command\n 192.0.2.9:0 0 63;");
    assert_string_equal(test.logged, "turn udp 3 4 3 3 ");
}

TEST(only_longer_answers_are_counted)
{
    struct message in = {"192.0.2.1", "192.0.2.9", "/x", NULL, 1, 64, 0};

    for (int i = 0; i < 50; i++) {
        in.bytes = "/a command that is longer than its answer";
        expect(&in, "ERR unknown-command\n 192.0.2.9:0 0 63;");
    }
    for (int i = 0; i < 20; i++) {
        in.bytes = "/x";
        expect(&in, i < 10 ? "ERR unknown-command\n 192.0.2.9:0 0 63;" : "");
    }
    in.bytes = "x";
    expect(&in, "x 192.0.2.9:0 0 63;");
}

// The narrowest of those that are answered counts, and only what changes is set.
TEST(answers_are_cut_as_their_questions_were)
{
    static const struct {
        unsigned fragment[3];
        const char *set;
    } row[] = {
        {{0, 0, 0}, ""},
        {{0, 1400, 1280}, "fragment 1280;"},
        {{1280, 0, 1400}, ""},
        {{1401, 0, 1400}, "fragment 1400;"},
        {{0, 1, 0}, "fragment 1;"},
        {{0, 0, 0}, "fragment 0;"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        for (test.came = 0; test.came < 3; test.came++)
            test.in[test.came] = (struct message){
                "2001:db8::1", "2001:db8::9", "", NULL, 1, 64, row[i].fragment[test.came]};
        test.in[test.came++] =
            (struct message){"2001:db8::2", "2001:db8::9", "ERR x", NULL, 1, 64, 600};
        test.in[test.came++] = (struct message){"192.0.2.1", "192.0.2.9", "", NULL, 1, 64, 600};
        turn();
        size_t length = strlen(row[i].set);
        assert_true(strncmp(test.sent, row[i].set, length) == 0 && test.sent[length] == ' ');
    }
}

static enum outcome tell(struct turn *turn)
{
    struct text text = reply_text(&turn->reply);

    text_format(&text, "%s", turn->ended ? "ended" : "not ended");
    reply_add(&turn->reply, &text);
    turn->done = turn->length;
    return TURN_MORE;
}

TEST(a_datagram_is_a_turn_that_has_ended)
{
    const struct role role = {.name = "tell", .admitted = true, .datagram = tell};

    test.port.role = &role;
    expect(&(struct message){"192.0.2.1", "192.0.2.9", "a", NULL, 1, 64, 0},
           "ended 192.0.2.9:0 0 63;");
}

TEST(an_answer_has_the_dscp_of_its_question)
{
    test.class = 0xbb;
    expect(&(struct message){"192.0.2.1", "192.0.2.9", "a", NULL, 1, 64, 0}, "a 192.0.2.9:0 0 63;");
    expect(&(struct message){"2001:db8::1", "2001:db8::9", "f", NULL, 3, 64, 0},
           "f [2001:db8::9]:0 0 63;");
}

TEST(raw_answers_what_looks_like_an_error)
{
    test.port.role = &role_raw;
    expect(&(struct message){"192.0.2.1", "192.0.2.9", "ERR x", NULL, 1, 64, 0},
           "ERR x 192.0.2.9:0 0 63;");
}

// Nor is one too long for it, and none is dropped.
TEST(discard_answers_nothing)
{
    begin_again(5);
    test.port.role = &role_discard;
    expect(&(struct message){"192.0.2.1", "192.0.2.9", "ERR x", NULL, 1, 64, 0}, "");
    expect(&(struct message){"192.0.2.1", "192.0.2.9", "longer", NULL, 1, 64, 0}, "");
    assert_int_equal(test.service.counters.udp_answered + counters_dropped(&test.service.counters),
                     0);
    assert_int_equal(test.service.counters.total_clients, 1);
}

TEST(what_goes_round_and_round_is_dropped_now_and_then)
{
    enum { TURNS = PEERS_ROUNDS_MAX / MESSAGES_MAX + 1 };

    for (test.came = 0; test.came < MESSAGES_MAX; test.came++)
        test.in[test.came] = (struct message){"192.0.2.1", "192.0.2.9", "a", NULL, 1, 64, 0};
    for (int i = 0; i < TURNS; i++)
        turn();
    assert_int_equal(counters_dropped(&test.service.counters), 1);
    assert_int_equal(test.service.counters.udp_answered, TURNS * MESSAGES_MAX - 1);
}

static void expect_train(int segment, const char *bytes, const char *sent)
{
    test.segment = segment;
    expect(&(struct message){"192.0.2.1", "192.0.2.9", bytes, NULL, 1, 64, 0}, sent);
}

#define FROM " 192.0.2.9:0 0 63;"

// What comes as one message goes out as one, as far as it is nothing but echoes side by side; and
// each datagram of it is answered as if it had come alone.
TEST(datagrams_that_come_together_are_answered_one_by_one)
{
    static const struct {
        const struct role *role;
        unsigned most;
        int segment;
        const char *bytes, *sent;
        unsigned answered, dropped;
    } row[] = {
        {&role_echo, 100, 3, "abcdefgh", "abc|def|gh" FROM, 3, 0},
        {&role_echo, 100, 1, "abc", "a|b|c" FROM, 3, 0},
        {&role_echo, 100, 3, "abc", "abc" FROM, 1, 0},
        {&role_echo, 100, 4, "abc", "abc" FROM, 1, 0},
        {&role_echo, 100, 3, "", FROM, 1, 0},
        {&role_echo, 100, -3, "abcdef", "abcdef" FROM, 1, 0},
        {&role_echo, 100, 4, "aaaaERR bbbbc", "aaaa" FROM "bbbb|c" FROM, 3, 1},
        {&role_echo, 100, 4, "ERR aaaabbbbERR ", "aaaa|bbbb" FROM, 2, 2},
        {&role_echo, 100, 4, "ERR ERR ERR ", "", 0, 3},
        {&role_echo, 100, 4, "aaaa/xyzbbbbcccc/", // and one more
         "aaaa" FROM "ERR unknown-command\n" FROM "bbbb|cccc" FROM "ERR unknown-command\n" FROM, 5,
         0},
        {&role_echo, 3, 4, "aaaabbbbccc",
         "ERR datagram-truncated\n" FROM "ERR datagram-truncated\n" FROM "ccc" FROM, 3, 0},
        {&role_raw, 100, 4, "aaaaERR /xyzc", "aaaa|ERR |/xyz|c" FROM, 4, 0},
        {&role_discard, 100, 4, "aaaaERR /xyzc", "", 0, 0},
    };
    const struct counters *counters = &test.service.counters;

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(row[i].most);
        test.port.role = row[i].role;
        expect_train(row[i].segment, row[i].bytes, row[i].sent);
        assert_int_equal(counters->udp_answered, row[i].answered);
        assert_int_equal(counters_dropped(counters), row[i].dropped);
        assert_int_equal(counters->messages[PROTOCOL_UDP],
                         row[i].role->blind ? 4 : row[i].answered + row[i].dropped);
        assert_int_equal(counters->received[PROTOCOL_UDP], strlen(row[i].bytes));
        assert_int_equal(counters->total_clients, 1);
    }
}

TEST(who_may_not_be_a_client_costs_each_of_its_datagrams)
{
    test.segment = 1;
    expect(&(struct message){"192.0.2.1", "192.0.2.255", "abc", "192.0.2.9", 3, 64, 0}, "");
    assert_int_equal(test.service.counters.udp_dropped[DROP_MULTICAST], 3);
    assert_int_equal(test.service.counters.total_clients, 0);
}

// Two messages that came one after the other lie side by side in no other way.
TEST(answers_to_two_messages_do_not_go_out_as_one)
{
    test.in[0] = test.in[1] = (struct message){"2001:db8::1", "2001:db8::9", "abc", NULL, 3, 64, 0};
    test.came = 2;
    test.segment = 2;
    turn();
    assert_string_equal(test.sent, "ab|c [2001:db8::9]:0 0 63;ab|c [2001:db8::9]:0 0 63;");
    assert_int_equal(test.calls, 1);
}

TEST(more_answers_than_a_batch_holds_go_out_in_two)
{
    static char bytes[(UDP_BATCH_MAX + 6) * 20 + 1];

    for (size_t i = 0; i < sizeof bytes - 1; i++)
        bytes[i] = i % 20 == 0 ? '/' : 'x';
    test.segment = 20;
    test.in[0] = (struct message){"192.0.2.1", "192.0.2.9", bytes, NULL, 1, 64, 0};
    test.came = 1;
    turn();
    assert_int_equal(test.calls, 2);
    assert_int_equal(test.service.counters.udp_answered, UDP_BATCH_MAX + 6);
}

// As where a route, a device or a policy does not take what would be cut on the way out.
TEST(what_the_kernel_does_not_cut_goes_out_one_by_one)
{
    static const struct {
        int results[6];
        unsigned calls, answered;
        const char *sent;
    } row[] = {
        {{2}, 1, 6, "ab|cd|e" FROM "ab|cd|e" FROM},
        {{-EINVAL, 3, 1}, 3, 6, "ab" FROM "cd" FROM "e" FROM "ab|cd|e" FROM},
        {{1, -EMSGSIZE, 3}, 3, 6, "ab|cd|e" FROM "ab" FROM "cd" FROM "e" FROM},
        {{-EIO, 1, -EPERM, 1, 1}, 5, 5, "ab" FROM "e" FROM "ab|cd|e" FROM},
        {{-EIO, 1, -EAGAIN}, 3, 1, "ab" FROM},
        {{-EIO, -EIO, -EIO, -EIO, 1}, 5, 3, "ab|cd|e" FROM},
        {{-EINTR, 2}, 2, 6, "ab|cd|e" FROM "ab|cd|e" FROM},
        {{-ENOBUFS, -ENOBUFS}, 2, 0, ""},
        {{-ENOBUFS, 3, 1}, 3, 6, "ab" FROM "cd" FROM "e" FROM "ab|cd|e" FROM},
        {{1, -EAGAIN, 1, -EAGAIN}, 4, 4, "ab|cd|e" FROM "ab" FROM},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(100);
        test.segment = 2;
        test.in[0] = test.in[1] =
            (struct message){"192.0.2.1", "192.0.2.9", "abcde", NULL, 1, 64, 0};
        test.came = 2;
        test.results = row[i].results;
        turn();
        assert_string_equal(test.sent, row[i].sent);
        assert_int_equal(test.calls, row[i].calls);
        assert_int_equal(test.service.counters.udp_answered, row[i].answered);
        assert_int_equal(test.service.counters.udp_dropped[DROP_SEND], 6 - row[i].answered);
    }
}

// So that who sends trains keeps others waiting no longer than who sends one by one.
TEST(after_many_datagrams_fewer_messages_are_taken)
{
    static char long_train[201];
    unsigned most = UDP_BATCH_MAX;
    static const struct {
        unsigned came, length, next;
    } row[] = {
        {1, 1, 64}, {1, 64, 64}, {1, 65, 1},  {1, 1, 2},  {2, 1, 4},  {4, 16, 8},
        {8, 8, 16}, {8, 20, 3},  {3, 1, 6},   {1, 1, 12}, {0, 0, 24}, {0, 0, 48},
        {1, 1, 64}, {8, 200, 1}, {1, 200, 1}, {1, 60, 2},
    };

    test.segment = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        memset(long_train, 'a', row[i].length);
        long_train[row[i].length] = '\0';
        for (test.came = 0; test.came < row[i].came; test.came++)
            test.in[test.came] =
                (struct message){"192.0.2.1", "192.0.2.9", long_train, NULL, 1, 64, 0};
        turn();
        assert_int_equal(test.asked, most);
        most = row[i].next;
    }
    turn();
    assert_int_equal(test.asked, most);
}

// As faulty's do: a datagram of its own size, and a byte behind it.
static enum outcome tell_more(struct turn *turn)
{
    memcpy(turn->reply.buffer, turn->input, turn->length);
    turn->reply.buffer[turn->length] = '.';
    turn->reply.bytes = turn->reply.buffer;
    turn->reply.length = turn->length + 1;
    turn->reply.texts = 1;
    turn->done = turn->length;
    return TURN_MORE;
}

TEST(answers_that_are_a_byte_longer_have_room_side_by_side)
{
    enum { MOST = 2 * TURN_TEXT_MAX_BYTES };
    const struct role role = {.name = "more", .admitted = true, .datagram = tell_more};
    static char bytes[2][MOST + 1];
    char expected[2 * (MOST + 40)];
    struct text text = text_in(expected, sizeof expected);

    begin_again(MOST);
    test.port.role = &role;
    for (int i = 0; i < 2; i++) {
        memset(bytes[i], 'a' + i, MOST);
        test.in[i] = (struct message){"192.0.2.1", "192.0.2.9", bytes[i], NULL, 1, 64, 0};
        text_bytes(&text, bytes[i], MOST);
        text_string(&text, "." FROM);
    }
    test.came = 2;
    turn();
    assert_string_equal(test.sent, text_end(&text));
}

static void ask(const char *bytes)
{
    test.in[0] = (struct message){"192.0.2.1", "192.0.2.9", bytes, NULL, 1, 64, 0};
    test.came = 1;
    turn();
}

TEST(commands_are_counted_and_echoes_are_not)
{
    const uint64_t *commands = test.service.counters.commands;
    uint64_t sum = 0;

    ask("an echo");
    ask("/whoami");
    ask("/nonsense");
    assert_int_equal(commands[COUNTED_UNKNOWN], 1);
    for (int i = 0; i < COUNTED_COMMANDS_MAX; i++)
        sum += commands[i];
    assert_int_equal(sum, 2);
}

TEST(a_peer_is_told_of_when_it_is_first_heard_and_where_details_are_wanted)
{
    ask("a");
    assert_string_equal(test.logged, "");
    begin_again(100);
    log_set_level(LOG_DETAIL);
    ask("a");
    assert_string_equal(test.logged, "peer heard udp 192.0.2.1:40000 ");
    *test.logged = '\0';
    ask("a");
    assert_string_equal(test.logged, "");
}

static enum outcome wait_for_an_hour(struct turn *turn)
{
    reply_echo(&turn->reply, turn->input, turn->length);
    turn->wait_ms = 3600000;
    turn->done = turn->length;
    return TURN_WAIT;
}

TEST(what_waits_goes_out_when_it_is_due)
{
    const struct role role = {.name = "wait", .admitted = true, .datagram = wait_for_an_hour};
    const uint64_t hour = 3600 * UINT64_C(1000000000);

    test.port.role = &role;
    uint64_t before = loop_clock(&test.loop);
    ask("a");
    uint64_t after = loop_clock(&test.loop), due = delays_next(&test.udp.delayed.delays);
    assert_string_equal(test.sent, "");
    assert_true(due >= before + hour && due <= after + hour);
    udp_wake(&test.udp, due - 1);
    assert_string_equal(test.sent, "");
    test.text = text_in(test.sent, sizeof test.sent);
    udp_wake(&test.udp, due);
    assert_string_equal(text_end(&test.text), "a" FROM);
}

// Its counter goes on from where it stood, and wraps round.
TEST(what_the_socket_has_lost_is_counted)
{
    static const struct {
        uint32_t lost;
        unsigned in_all;
    } row[] = {{0, 0}, {1, 1}, {1, 1}, {7, 7}, {0, 7}, {UINT32_MAX, UINT32_MAX}, {4, 4}};
    const uint64_t *dropped = test.service.counters.udp_dropped;

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        test.lost = row[i].lost;
        ask("a");
        assert_int_equal((uint32_t)dropped[DROP_KERNEL], row[i].in_all);
    }
}

TEST(what_a_socket_tells_is_not_what_udp_does)
{
    test.strange = true;
    ask("abc");
    assert_string_equal(test.sent, "abc" FROM);
    assert_int_equal(test.service.counters.messages[PROTOCOL_UDP], 1);
    assert_int_equal(test.service.counters.udp_dropped[DROP_KERNEL], 0);
}

TEST(what_waited_and_cannot_be_sent_is_told_of)
{
    static const int results[][2] = {{-EAGAIN}, {-EPERM}};
    const struct role role = {.name = "wait", .admitted = true, .datagram = wait_for_an_hour};

    for (size_t i = 0; i < ARRAY_LENGTH(results); i++) {
        begin_again(100);
        test.port.role = &role;
        ask("a");
        test.results = results[i];
        test.calls = 0;
        udp_wake(&test.udp, DELAYS_NEVER);
        assert_int_equal(test.service.counters.udp_dropped[DROP_SEND], 1);
        assert_int_equal(strncmp(test.logged, "cannot send", 11) == 0, i == 1);
    }
}
