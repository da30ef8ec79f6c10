// SPDX-License-Identifier: MIT
// The oracle for UDP: which datagrams must be answered, may be, must not be, and how.
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "expect.h"
#include "fault.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "transport/delayed.h"
#include "world.h"

enum {
    PORT_MIN = 1024,
    WINDOW_SECONDS = 60,
    LATE_MS_MAX = 2,      // that a delayed answer may be late
    LONGER_PER_PEER = 10, // answers longer than their questions, in a second
    LONGER_PER_HOST = 50,
    LONGER_IN_ALL = 100,
    SHARE_SECONDS = 5, // after which a host's share is whole again
    ANSWER_LINE_MAX = 512,
};

#define TRUNCATED "ERR datagram-truncated\n"

struct peer {
    struct address address;
    uint64_t heard_low, heard_high;
    // When the latest longer answers were made, the last one first; and when any may have been
    // asked for.
    uint64_t longer[2 * LONGER_PER_PEER + 1], asked[LONGER_PER_PEER];
};

struct udp_counts udp;

static struct {
    struct peer *peer;
    size_t peers, room;
    uint64_t longer[2 * LONGER_IN_ALL + 1], asked[LONGER_PER_HOST];
    struct question *delayed; // in no order
} q;

void questions_begin(void)
{
    memory_own(q.peer, 0);
    while (q.delayed)
        q.delayed = question_free(q.delayed);
    memset(&q, 0, sizeof q);
    memset(&udp, 0, sizeof udp);
}

static bool is_own(uint16_t port)
{
    for (const struct netsock *socket = netsocks; socket; socket = socket->next)
        if (socket->type == SOCK_DGRAM && socket->bound.port == port)
            return true;
    return false;
}

// Who may be a client.
static bool accepted(const struct question *question)
{
    return question->peer.port >= PORT_MIN && !is_own(question->peer.port) &&
           !address_is_no_host(&question->peer) && !address_is_no_host(&question->local) &&
           question->to_host;
}

static bool is_error(const struct question *question)
{
    return question->length >= 4 && memcmp(question->bytes, "ERR ", 4) == 0;
}

// Whether the role looks at what a datagram says.
static bool speaks(const struct question *question)
{
    return question->role == &role_echo || question->role == &role_faulty;
}

static bool forbidden(const struct question *question)
{
    return !accepted(question) || question->hop_limit <= 1 ||
           (speaks(question) && is_error(question));
}

static bool is_same(const struct address *a, const struct address *b)
{
    return a->port == b->port && a->scope == b->scope && memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

static struct peer *find(const struct address *address)
{
    for (size_t i = 0; i < q.peers; i++)
        if (is_same(&q.peer[i].address, address))
            return &q.peer[i];
    return NULL;
}

static void heard(const struct question *question)
{
    struct peer *peer = find(&question->peer);

    if (!peer) {
        q.peer = memory_room(q.peer, q.peers, &q.room, sizeof *q.peer);
        peer = &q.peer[q.peers++];
        *peer = (struct peer){.address = question->peer};
        udp.peers++;
    } else if (world.now - peer->heard_low > WINDOW_SECONDS * SECOND) {
        // Whole ticks, and the time of a turn, are in doubt.
        if (world.turn_start > peer->heard_high + WINDOW_SECONDS * SECOND + 2 * TICK)
            udp.peers++;
        else
            udp.peers_maybe++;
    }
    peer->heard_low = world.turn_start;
    peer->heard_high = world.now;
}

// COUNT of them happened in less than TIME before NOW.
static bool all_within(const uint64_t *at, size_t count, uint64_t time, uint64_t now)
{
    return at[count - 1] != 0 && now < at[count - 1] + time;
}

static void remember(uint64_t *at, size_t count)
{
    world_remember(at, count, world.now);
}

// Two whole seconds may touch in one second of ours. In a turn that took long, the daemon's time is
// not known well enough.
static void count_longer(const struct question *question)
{
    struct peer *peer = find(&question->peer);

    if (!peer)
        fail("a longer answer to a peer that was never heard");
    world_remember(peer->longer, 2 * LONGER_PER_PEER + 1, world.now);
    world_remember(q.longer, 2 * LONGER_IN_ALL + 1, world.now);
    if (world.now - world.turn_start > 10 * MILLISECOND) {
        peer->longer[0] = q.longer[0] = 0;
        return;
    }
    if (all_within(peer->longer, 2 * LONGER_PER_PEER + 1, SECOND, world.now) ||
        all_within(q.longer, 2 * LONGER_IN_ALL + 1, SECOND, world.now))
        fail("more answers that are longer than their questions than %d a second", LONGER_PER_PEER);
}

static bool is_command(const struct question *question)
{
    return speaks(question) && question->length > 0 && question->bytes[0] == '/';
}

static struct wish wish_of(const struct question *question)
{
    return question->role == &role_faulty && is_command(question) && !question->truncated
               ? lines_wish(question->bytes, question->length)
               : (struct wish){.kind = WISH_NONE};
}

static bool discarded(const struct question *question)
{
    return (question->role == &role_discard || wish_of(question).kind == WISH_DROP) &&
           !forbidden(question);
}

// A little more than a second, for the daemon's second begins when it likes; at the start of the
// turn, for what the process was kept from after that came too late for the decision. As long as
// all together ask for less than the share of one host, nobody's share is less.
static bool limited(struct question *question)
{
    struct peer *peer = find(&question->peer);
    bool limited =
        all_within(peer->asked, LONGER_PER_PEER, SECOND + 10 * MILLISECOND, question->asked.at) ||
        all_within(q.asked, LONGER_PER_HOST, SHARE_SECONDS * SECOND, question->asked.at);

    remember(peer->asked, LONGER_PER_PEER);
    remember(q.asked, LONGER_PER_HOST);
    return limited;
}

// Whether QUESTION, which is kept then, is to be answered later.
static bool delayed(struct question *question)
{
    struct wish wish = wish_of(question);

    if (forbidden(question) || wish.kind != WISH_DELAY)
        return false;
    question->due_low = world.now + wish.number * MILLISECOND;
    question->next = q.delayed;
    q.delayed = question;
    if (++udp.waiting > udp.waiting_most)
        udp.waiting_most = udp.waiting;
    return true;
}

void judge_question(struct netsock *socket, struct question *question)
{
    world.progress = true;
    udp.read++;
    question->asked = expect_moment();
    if (accepted(question))
        heard(question);
    udp.discarded += discarded(question);
    question->limited =
        !forbidden(question) && (is_command(question) || question->truncated) && limited(question);
    if (!delayed(question))
        question_add(&socket->batch, question);
}

// The first of the batch has not been answered: was that right? EXCUSED: it could not be.
static void left_out(struct netsock *socket, bool excused)
{
    struct question *question = socket->batch;

    socket->batch = question->next;
    if (!excused && !forbidden(question) && !discarded(question) && !question->limited)
        fail("a datagram of %zu bytes from %s is not answered", question->length,
             ADDRESS_STRING(&question->peer));
    question_free(question);
}

void judge_batch_over(struct netsock *socket, bool excused)
{
    while (socket->batch)
        left_out(socket, excused);
}

// Without memory, or with no room for another, one is dropped instead; so it is counted then.
void judge_delayed(void)
{
    for (struct question *question = q.delayed; question; question = question->next) {
        if (question->due_high == 0)
            question->due_high = world.now + wish_of(question).number * MILLISECOND;
        if (world.now > question->due_high + LATE_MS_MAX * MILLISECOND && faults.count == 0 &&
            udp.waiting_most < DELAYED_MAX)
            fail("a delayed answer to %s is not sent in time", ADDRESS_STRING(&question->peer));
    }
}

// By whose rule the answer is told; COMMAND_UNKNOWN: it is *TEXT.
static enum command_name rule_of(const struct question *question, struct iovec *text)
{
    static char truncated[] = TRUNCATED, unknown[] = LINES_UNKNOWN,
                never[] = "ERR shutdown-not-allowed\n", tcp_only[] = "ERR tcp-only\n";
    struct wish wish = wish_of(question);

    *text = (struct iovec){truncated, sizeof truncated - 1};
    if (question->truncated)
        return COMMAND_UNKNOWN;
    *text = (struct iovec){question->bytes, question->length};
    if (!is_command(question))
        return COMMAND_UNKNOWN;
    if (wish.kind == WISH_USAGE)
        *text = (struct iovec){(char *)wish.usage, strlen(wish.usage)};
    if (wish.tcp_only)
        *text = (struct iovec){tcp_only, sizeof tcp_only - 1};
    if (wish.kind != WISH_NONE)
        return COMMAND_UNKNOWN;
    enum command_name name = lines_command(question->bytes, question->length).name;
    if (name == COMMAND_UNKNOWN)
        *text = (struct iovec){unknown, sizeof unknown - 1};
    if (name != COMMAND_SHUTDOWN)
        return name;
    *text = (struct iovec){never, sizeof never - 1};
    return COMMAND_UNKNOWN;
}

// Whether ANSWER has the form of one to QUESTION.
static bool fits(const struct question *question, const struct iovec *answer)
{
    static const char *const begin[] = {[COMMAND_STATS] = "total_clients=",
                                        [COMMAND_TIME] = "20",
                                        [COMMAND_WHOAMI] = "proto=udp ",
                                        [COMMAND_HEALTH] = "", // two that begin differently
                                        [COMMAND_HELP] = "/"};
    struct iovec text;
    enum command_name rule = rule_of(question, &text);

    if (rule == COMMAND_UNKNOWN)
        return answer->iov_len == text.iov_len &&
               (text.iov_len == 0 || memcmp(answer->iov_base, text.iov_base, text.iov_len) == 0);
    size_t length = strlen(begin[rule]);
    return answer->iov_len > length && answer->iov_len <= ANSWER_LINE_MAX &&
           memcmp(answer->iov_base, begin[rule], length) == 0;
}

static void check_line(const struct question *question, const struct iovec *answer)
{
    struct iovec text;
    struct piece piece = {.command = rule_of(question, &text), .asked = question->asked};
    struct facts facts = {
        .protocol = PROTOCOL_UDP, .peer = question->peer, .local = question->local};

    if (piece.command != COMMAND_UNKNOWN)
        expect_line(&piece, &facts, answer->iov_base, answer->iov_len, "");
}

static bool told_class(const struct netsock *socket, bool v4)
{
    return world.server->options.dscp_reflect && (v4 ? socket->class_v4 : socket->class_v6);
}

// From the address that was asked, with one hop less, and with the question's DSCP if it is wanted.
static bool control_fits(const struct netsock *socket, const struct question *question,
                         const struct msghdr *message)
{
    bool v4 = address_is_v4(&question->local), from = false;
    int hops = -1, class = -1, wanted = told_class(socket, v4) ? question->class & ~3 : -1;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at;
         at = CMSG_NXTHDR((struct msghdr *)message, at)) {
        struct in_pktinfo info;
        struct in6_pktinfo info6;

        if (at->cmsg_level != (v4 ? IPPROTO_IP : IPPROTO_IPV6))
            fail("a control message of the other family");
        if (v4 && at->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(at), sizeof info);
            from = memcmp(&info.ipi_spec_dst, question->local.ip.s6_addr + 12, 4) == 0;
        } else if (!v4 && at->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(at), sizeof info6);
            from = memcmp(&info6.ipi6_addr, &question->local.ip, 16) == 0;
        } else if (at->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT)) {
            memcpy(&hops, CMSG_DATA(at), sizeof hops);
        } else if (at->cmsg_type == (v4 ? IP_TOS : IPV6_TCLASS)) {
            must(at->cmsg_len == CMSG_LEN(sizeof class));
            memcpy(&class, CMSG_DATA(at), sizeof class);
        }
    }
    return from && hops == question->hop_limit - 1 && class == wanted;
}

// Of several questions from one peer, those before the one that fits were left out.
static struct question *find_question(struct netsock *socket, const struct msghdr *message)
{
    struct address to = address_of((const void *)message->msg_name);
    struct question *question;

    while ((question = socket->batch)) {
        if (!forbidden(question) && is_same(&question->peer, &to) && !discarded(question) &&
            fits(question, message->msg_iov) && control_fits(socket, question, message))
            return question;
        left_out(socket, false);
    }
    fail(
        "an answer that nobody asked for, from a wrong address, or with a wrong hop limit or DSCP: "
        "'%.*s'",
        (int)message->msg_iov->iov_len, (char *)message->msg_iov->iov_base);
}

// Whether the answer might as well be one to a later question that is not shorter than it.
static bool ambiguous(const struct question *question, const struct msghdr *message)
{
    struct address to = address_of((const void *)message->msg_name);

    for (const struct question *other = question->next; other; other = other->next)
        if (other->length >= message->msg_iov->iov_len && is_same(&other->peer, &to) &&
            fits(other, message->msg_iov))
            return true;
    return false;
}

// Whether MESSAGE is an answer whose time has come; at the graceful end, any time has.
static bool is_delayed(const struct netsock *socket, const struct msghdr *message)
{
    struct address to = address_of((const void *)message->msg_name);

    for (struct question **link = &q.delayed; *link; link = &(*link)->next) {
        struct question *question = *link;
        struct wish wish = wish_of(question);
        const struct iovec *answer = message->msg_iov;

        if ((world.now < question->due_low && !world.draining) || !is_same(&question->peer, &to) ||
            answer->iov_len != wish.length + 1 ||
            memcmp(answer->iov_base, wish.text, wish.length) != 0 ||
            ((char *)answer->iov_base)[wish.length] != '\n' ||
            !control_fits(socket, question, message))
            continue;
        *link = question_free(question);
        udp.waiting--;
        return true;
    }
    return false;
}

void judge_answer(struct netsock *socket, const struct msghdr *message, bool sent)
{
    if (is_delayed(socket, message)) {
        udp.answered += sent;
        return;
    }
    struct question *question = find_question(socket, message);

    if (message->msg_iovlen != 1)
        fail("an answer in %zu parts", message->msg_iovlen);
    check_line(question, message->msg_iov);
    if (message->msg_iov->iov_len > question->length && !ambiguous(question, message))
        count_longer(question);
    udp.answered += sent;
    socket->batch = question_free(question);
}
