// SPDX-License-Identifier: MIT
#include "questions.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "expect.h"
#include "fault.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "server.h"
#include "world.h"

enum {
    PORT_MIN = 1024,
    WINDOW_SECONDS = 60,
    LONGER_PER_PEER = 10, // answers longer than their questions, in a second
    LONGER_PER_HOST = 50,
    LONGER_IN_ALL = 100,
    SHARE_SECONDS = 5, // after which a host's share is whole again
    ANSWER_LINE_MAX = 256,
};

#define TRUNCATED "ERR datagram-truncated\n"

struct peer {
    struct sockaddr_in6 address;
    uint64_t heard_low, heard_high;
    // When the latest longer answers were made, the last one first; and when any may have been
    // asked for.
    uint64_t longer[2 * LONGER_PER_PEER + 1], asked[LONGER_PER_PEER];
};

static struct {
    uint64_t read, answered, sure, maybe;
    struct peer *peer;
    size_t peers, room;
    uint64_t longer[2 * LONGER_IN_ALL + 1], asked[LONGER_PER_HOST];
} q;

void questions_begin(void)
{
    questions_finish();
    memset(&q, 0, sizeof q);
}

void questions_finish(void)
{
    q.peer = memory_own(q.peer, 0);
    q.peers = q.room = 0;
}

uint64_t questions_read(void)
{
    return q.read;
}

uint64_t questions_answered(void)
{
    return q.answered;
}

uint64_t questions_peers_sure(void)
{
    return q.sure;
}

uint64_t questions_peers_maybe(void)
{
    return q.maybe;
}

static bool no_host(const struct sockaddr_in6 *address)
{
    const uint8_t *v4 = address->sin6_addr.s6_addr + 12;

    if (netsock_is_v4(address))
        return (v4[0] & 0xf0) == 0xe0 || memcmp(v4, "\xff\xff\xff\xff", 4) == 0 ||
               memcmp(v4, "\0\0\0\0", 4) == 0;
    return IN6_IS_ADDR_MULTICAST(&address->sin6_addr) ||
           IN6_IS_ADDR_UNSPECIFIED(&address->sin6_addr);
}

static bool is_own(in_port_t port)
{
    for (const struct netsock *socket = netsock_first(); socket; socket = socket->next)
        if (socket->type == SOCK_DGRAM && socket->bound.sin6_port == port)
            return true;
    return false;
}

// Who may be a client.
static bool accepted(const struct question *question)
{
    return ntohs(question->peer.sin6_port) >= PORT_MIN && !is_own(question->peer.sin6_port) &&
           !no_host(&question->peer) && !no_host(&question->local) && question->to_host;
}

static bool is_error(const struct question *question)
{
    return question->length >= 4 && memcmp(question->bytes, "ERR ", 4) == 0;
}

static bool forbidden(const struct question *question)
{
    return !accepted(question) || question->hop_limit <= 1 || is_error(question);
}

static bool is_same(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
    return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
}

static struct peer *find(const struct sockaddr_in6 *address)
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
        if (q.peers == q.room) {
            q.room = q.room ? 2 * q.room : 64;
            q.peer = memory_own(q.peer, q.room * sizeof *q.peer);
        }
        peer = &q.peer[q.peers++];
        *peer = (struct peer){.address = question->peer};
        q.sure++;
    } else if (world.now - peer->heard_low > WINDOW_SECONDS * SECOND) {
        // Whole ticks, and the time of a turn, are in doubt.
        if (world.turn_start > peer->heard_high + WINDOW_SECONDS * SECOND + 2 * TICK)
            q.sure++;
        else
            q.maybe++;
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
    memmove(at + 1, at, (count - 1) * sizeof *at);
    at[0] = world.now;
}

// Two whole seconds may touch in one second of ours. In a turn that took long, the daemon's time is
// not known well enough.
static void count_longer(const struct question *question)
{
    struct peer *peer = find(&question->peer);

    if (!peer)
        fail("a longer answer to a peer that was never heard");
    remember(peer->longer, 2 * LONGER_PER_PEER + 1);
    remember(q.longer, 2 * LONGER_IN_ALL + 1);
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
    return question->length > 0 && question->bytes[0] == '/';
}

// A little more than a second, for the daemon's second begins when it likes; at the start of the
// turn, for what the process was kept from after that came too late for the decision. As long as
// all together ask for less than the share of one host, nobody's share is less.
static bool limited(struct question *question)
{
    struct peer *peer = find(&question->peer);
    bool limited =
        all_within(peer->asked, LONGER_PER_PEER, SECOND + 10 * MILLISECOND, question->asked) ||
        all_within(q.asked, LONGER_PER_HOST, SHARE_SECONDS * SECOND, question->asked);

    remember(peer->asked, LONGER_PER_PEER);
    remember(q.asked, LONGER_PER_HOST);
    return limited;
}

void judge_question(struct netsock *socket, struct question *question)
{
    struct question **link = &socket->batch;

    judge_progress();
    q.read++;
    question->asked = world.turn_start;
    question->counts_before = expect_counts();
    judge_totals(&question->total, &question->busy);
    if (accepted(question))
        heard(question);
    question->limited =
        !forbidden(question) && (is_command(question) || question->truncated) && limited(question);
    while (*link)
        link = &(*link)->next;
    question->next = NULL;
    *link = question;
}

// Not answered: was that right?
static void left_out(const struct question *question)
{
    char peer[80];

    if (forbidden(question) || question->limited)
        return;
    fail("a datagram of %zu bytes from %s is not answered", question->length,
         netsock_text(&question->peer, peer));
}

void judge_batch_over(struct netsock *socket, bool excused)
{
    while (socket->batch) {
        struct question *question = socket->batch;

        socket->batch = question->next;
        if (!excused)
            left_out(question);
        question_free(question);
    }
}

// The text that answers the command, or NULL with the rule in *KIND.
static const char *command_text(const struct question *question, enum piece_kind *kind)
{
    size_t argument, line = question->length;

    while (line > 0 && (question->bytes[line - 1] == '\n' || question->bytes[line - 1] == '\r'))
        line--;
    const char *text = expect_command(question->bytes, line, kind, &argument);
    return *kind == PIECE_SHUTDOWN ? "ERR shutdown-not-allowed\n" : text;
}

static bool same(const struct iovec *answer, const char *bytes, size_t length)
{
    return answer->iov_len == length &&
           (length == 0 || memcmp(answer->iov_base, bytes, length) == 0);
}

static bool begins(const struct iovec *answer, const char *text)
{
    return answer->iov_len > strlen(text) && answer->iov_len <= ANSWER_LINE_MAX &&
           memcmp(answer->iov_base, text, strlen(text)) == 0;
}

// Whether ANSWER has the form of one to QUESTION.
static bool fits(const struct question *question, const struct iovec *answer)
{
    static const char *const begin[] = {[PIECE_STATS] = "total_clients=",
                                        [PIECE_TIME] = "20",
                                        [PIECE_WHOAMI] = "proto=udp ",
                                        [PIECE_HELP] = "/"};
    enum piece_kind kind = PIECE_BYTES;

    if (question->truncated)
        return same(answer, TRUNCATED, sizeof TRUNCATED - 1);
    if (!is_command(question))
        return same(answer, question->bytes, question->length);
    const char *text = command_text(question, &kind);
    return text ? same(answer, text, strlen(text)) : begins(answer, begin[kind]);
}

static void check_line(const struct question *question, const struct iovec *answer)
{
    struct piece piece = {.kind = PIECE_BYTES,
                          .asked = question->asked,
                          .counts_before = question->counts_before,
                          .total = question->total,
                          .busy = question->busy};
    char peer[80], local[80], whoami[200];

    if (question->truncated || !is_command(question) || command_text(question, &piece.kind))
        return;
    snprintf(whoami, sizeof whoami, "proto=udp peer=%s local=%s\n",
             netsock_text(&question->peer, peer), netsock_text(&question->local, local));
    expect_line(&piece, answer->iov_base, answer->iov_len, whoami, peer);
}

// From the address that was asked, and one hop less.
static bool control_fits(const struct question *question, const struct msghdr *message)
{
    bool v4 = netsock_is_v4(&question->local), from = false;
    int hops = -1;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at;
         at = CMSG_NXTHDR((struct msghdr *)message, at)) {
        struct in_pktinfo info;
        struct in6_pktinfo info6;

        if (at->cmsg_level != (v4 ? IPPROTO_IP : IPPROTO_IPV6))
            fail("a control message of the other family");
        if (v4 && at->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(at), sizeof info);
            from = memcmp(&info.ipi_spec_dst, question->local.sin6_addr.s6_addr + 12, 4) == 0;
        } else if (!v4 && at->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info6, CMSG_DATA(at), sizeof info6);
            from = memcmp(&info6.ipi6_addr, &question->local.sin6_addr, 16) == 0;
        } else if (at->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT)) {
            memcpy(&hops, CMSG_DATA(at), sizeof hops);
        }
    }
    return from && hops == question->hop_limit - 1;
}

// Of several questions from one peer, those before the one that fits were left out.
static struct question *find_question(struct netsock *socket, const struct msghdr *message)
{
    struct sockaddr_in6 to = netsock_address(message->msg_name);
    struct question *question;

    while ((question = socket->batch)) {
        if (!forbidden(question) && is_same(&question->peer, &to) &&
            fits(question, message->msg_iov) && control_fits(question, message))
            return question;
        left_out(question);
        socket->batch = question->next;
        question_free(question);
    }
    fail("an answer that nobody asked for, or from a wrong address, or with a wrong hop limit: "
         "'%.*s'",
         (int)message->msg_iov->iov_len, (char *)message->msg_iov->iov_base);
}

// Whether the answer might as well be one to a later question that is not shorter than it.
static bool ambiguous(const struct question *question, const struct msghdr *message)
{
    struct sockaddr_in6 to = netsock_address(message->msg_name);

    for (const struct question *other = question->next; other; other = other->next)
        if (other->length >= message->msg_iov->iov_len && is_same(&other->peer, &to) &&
            fits(other, message->msg_iov))
            return true;
    return false;
}

void judge_answer(struct netsock *socket, const struct msghdr *message, bool sent)
{
    struct question *question = find_question(socket, message);

    if (message->msg_iovlen != 1)
        fail("an answer in %zu parts", message->msg_iovlen);
    check_line(question, message->msg_iov);
    if (message->msg_iov->iov_len > question->length && !ambiguous(question, message))
        count_longer(question);
    q.answered += sent;
    socket->batch = question->next;
    question_free(question);
}
