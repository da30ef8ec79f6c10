// SPDX-License-Identifier: MIT
#include "judge.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>

#include "fault.h"
#include "files.h"
#include "flow.h"
#include "memory.h"
#include "netsock.h"
#include "server.h"
#include "transport/delayed.h"
#include "world.h"

enum {
    FUTILE_MAX = 60,                      // turns in a row that do nothing
    TURN_BYTES_MAX = 65536,               // that one turn reads of one connection
    ACCEPTS_MAX = 64,                     // of one listener in one turn
    GOODBYES_MAX = 256,                   // "Server Busy" at the same time
    RESERVED_MIN = 16,                    // descriptors beside listeners and connections
    CONN_BYTES = 56,                      // of an idle connection,
    PEER_BYTES = 32,                      // and of its names where connections are logged
    CONN_BYTES_MAX = 1 << 19,             // of any, beside its line
    OPENING_BYTES = 2 * HEADER_MAX + 256, // of one with a header, kept or not come whole yet
    PLACE_BYTES = 8,                      // of one that waits, among others, and they double
    PLACES_MIN = 16,
    DELAYED_BYTES = 512, // of a delayed answer, beside the answer
    LATE_TURNS_MAX = 10,
    LATE_MS_MAX = 2, // that a delay may be over later
    LOG_PER_SECOND_MAX = 40,
    REST_AFTER_SECONDS = 20, // of the last coming or going
};

static struct {
    unsigned admitted, busy;         // open now
    unsigned faulty_most;            // open at once since one of the role faulty has come
    uint64_t tcp_total, busy_total;  // since the start
    uint64_t refused, refused_maybe; // for their headers
    uint64_t received, sent;         // bytes
    uint64_t failed_high;            // when accepting last failed, or 0
    bool freed;                      // a connection has ended since
    uint64_t timer_turn;             // when the timer was last read
    size_t memory;                   // after the start
    uint64_t timer_read;
    unsigned late_turns; // after the end of the graceful end
    uint64_t log_second;
    unsigned log_lines;
} judge;

struct judge_token judge_token;

static const struct options *options(void)
{
    return &world.server->options;
}

void judge_begin(void)
{
    memset(&judge, 0, sizeof judge);
    judge_token = (struct judge_token){.there = false};
    questions_begin();
}

void judge_totals(uint64_t *total, uint64_t *busy)
{
    *total = judge.tcp_total + udp.peers;
    *busy = judge.busy_total;
}

void judge_refused(uint64_t *least, uint64_t *most)
{
    *least = judge.refused;
    *most = judge.refused + judge.refused_maybe;
}

void judge_started(void)
{
    world.started = true;
    judge.memory = allocated.bytes;
    if (world.server->ports.pool.max_busy > GOODBYES_MAX)
        fail("more goodbyes than %d are allowed", GOODBYES_MAX);
    if (RESERVED_MIN + world.server->ports.count + options()->max_tcp +
            world.server->ports.pool.max_busy >
        kernel.soft)
        fail("%u clients are allowed, and do not fit", options()->max_tcp);
}

// Nobody can be taken in, not even to be told "Server Busy".
static bool full(void)
{
    return judge.admitted >= options()->max_tcp && judge.busy >= world.server->ports.pool.max_busy;
}

// TCP: what the daemon does.

// While clients come and go, the server is not at rest, whoever else is.
static void no_rest(unsigned seconds)
{
    uint64_t later = world.now + seconds * SECOND;

    if (world.rest_from != NEVER && world.rest_from < later)
        world.rest_from = later;
}

void judge_accepted(struct netsock *socket, struct flow *flow)
{
    world.progress = true;
    no_rest(REST_AFTER_SECONDS);
    if (socket->turn != world.turn)
        socket->accepts = 0;
    socket->turn = world.turn;
    if (++socket->accepts > ACCEPTS_MAX && !world.stops && !world.may_stop)
        fail("more than %d clients are accepted in a turn", ACCEPTS_MAX);
    if (full())
        fail("flow %u is accepted while nobody can be told", flow->number);
}

void judge_accept_failed(void)
{
    judge.failed_high = world.now;
    judge.freed = false;
}

// The first may be told once and be gone. Beyond it, the daemon waits for a tick, and then longer.
void judge_receive_failed(struct netsock *socket)
{
    size_t last = sizeof socket->failed / sizeof socket->failed[0] - 1;

    if (++socket->failures > last + 1 && !world.draining &&
        world.now < socket->failed[last] + TICK / 2)
        fail("what cannot be received is asked for again and again");
    memmove(&socket->failed[1], &socket->failed[0], last * sizeof socket->failed[0]);
    socket->failed[0] = world.now;
}

static bool rests(const struct netsock *socket)
{
    unsigned doublings = socket->failures < 6 ? socket->failures - 2 : 4;

    return socket->failures >= 2 &&
           world.now <= socket->failed[0] + (1U << doublings) * TICK + TICK;
}

void judge_registered(struct flow *flow)
{
    if (flow->registered)
        return; // with the process before
    flow->registered = true;
    flow->busy = judge.admitted >= options()->max_tcp;
    flow->byte_low = world.turn_start;
    flow->byte_high = flow->owed_until = world.now;
    expect_begin(flow);
    if (flow->busy) {
        judge.busy++;
        judge.busy_total++;
        flow->shut_low = world.turn_start;
        flow->shut_high = world.now;
        flow->role = &role_busy;
        expect_text(flow, "Server Busy\n");
        flow->expect.lines.closing = true;
        return;
    }
    flow->opening = flow->header;
    flow->opening_low = world.turn_start;
    flow->opening_high = world.now;
    judge.tcp_total++;
    expect_connected(++judge.admitted);
    if ((flow->role == &role_faulty || judge.faulty_most > 0) && judge.admitted > judge.faulty_most)
        judge.faulty_most = judge.admitted;
}

static void count_calls(struct flow *flow)
{
    if (flow->turn != world.turn)
        flow->recvs = flow->sends = 0;
    flow->turn = world.turn;
}

// Beside its own turn, a connection has one when the end comes to it, or its time seems to be over.
static unsigned turns(void)
{
    return 1U + world.draining + (world.turn == judge.timer_turn);
}

// Who waits no longer is watched for room to send. All times begin anew then, at the turn that
// follows at the latest.
void judge_watched(struct flow *flow, bool input)
{
    struct expect *expect = &flow->expect;

    if (!input && expect_pass(flow)) {
        expect->resumed = true;
        flow->byte_low = world.turn_start;
        no_rest(REST_AFTER_SECONDS);
    }
    if (expect->resumed)
        flow->byte_high = flow->owed_until = world.now;
    expect->resumed &= !input;
}

void judge_recv(struct flow *flow)
{
    if (expect_waits(&flow->expect) && !flow->shut)
        fail("flow %u: recv while it waits for a time", flow->number);
    count_calls(flow);
    if (++flow->recvs > turns())
        fail("flow %u: %u recv in a turn", flow->number, flow->recvs);
    // Who was owed something when FIN was read is read from once more when it is sent.
    if ((flow->fin_read && flow->ends++ > 0) || flow->error_told)
        fail("flow %u: recv after the end", flow->number);
    if (!flow->shut && expect_owes(&flow->expect))
        fail("flow %u: recv while answers are unsent", flow->number);
}

// What recv or send has told ends the connection.
static void told(struct flow *flow, long result)
{
    if (result == -EAGAIN || result == -EINTR)
        return;
    flow->error_told = flow->must_close = true;
    world.progress = true;
}

static void moved(struct flow *flow)
{
    world.progress = true;
    if (flow->shut)
        return;
    flow->byte_low = world.turn_start;
    flow->byte_high = world.now;
    flow->asked = 0;
}

// How many of LENGTH bytes that were read belong to the header.
static size_t take_header(struct flow *flow, size_t length)
{
    const struct header *header = flow->header;

    if (!flow->opening)
        return 0;
    length = size_min(length, header->length - flow->header_read);
    flow->header_read += length;
    flow->refused = header->wrong_at > 0 && flow->header_read >= header->wrong_at;
    flow->must_close |= flow->refused;
    flow->opening = flow->refused || flow->header_read < header->length;
    return length;
}

static void take_end(struct flow *flow)
{
    flow->fin_read = true;
    if (flow->expect.wait.end) // now it is taken
        flow->ends = 0;
    if (flow->opening && flow->header_read > 0)
        flow->refused = flow->must_close = true;
    expect_end_of_input(flow);
}

void judge_received(struct flow *flow, const char *bytes, long result, bool cut_short)
{
    flow->left_behind = cut_short || result < 0 ? 0 : flow->rx.length;
    flow->fin_behind = !cut_short && result > 0 && flow->fin_in;
    flow->read_at = world.now;
    if (result < 0) {
        flow->ends -= flow->ends > 0; // it has not been told again
        told(flow, result);
        return;
    }
    if (result > TURN_BYTES_MAX)
        fail("flow %u: %ld bytes are read in a turn", flow->number, result);
    world.progress = true;
    if (result > 0)
        moved(flow);
    judge.received += flow->shut ? 0 : (uint64_t)result;
    if (flow->shut) {
        flow->fin_read = result == 0;
    } else if (result == 0) {
        take_end(flow);
    } else {
        size_t header = take_header(flow, (size_t)result);

        if (!flow->opening)
            expect_read(flow, bytes + header, (size_t)result - header);
    }
}

void judge_peeked(struct flow *flow, long result)
{
    flow->fin_peeked |= result == 0;
    if (result == -EAGAIN) {
        flow->left_behind = 0;
        flow->fin_behind = false;
        flow->read_at = world.now;
    } else if (result < 0 && result != -EINTR) {
        flow->excused = true;
    }
}

// A tick less is silence enough, for the kernel's time is older than the daemon's.
void judge_asked(struct flow *flow)
{
    uint64_t last = flow->taken > flow->arrived ? flow->taken : flow->arrived;

    flow->silent =
        options()->idle_timeout > 0 && world.now + TICK >= last + options()->idle_timeout * SECOND;
    if (!flow->silent)
        flow->asked = world.now;
    else if (!world.draining) // else it may have something to flush first, or be told goodbye
        flow->must_close = flow->rx.length == 0 && !flow->fin_in;
}

static bool since(uint64_t low, unsigned seconds)
{
    return seconds != 0 && world.now >= low + seconds * SECOND;
}

// Whether all that may be sent is what is told to who has not ended a line.
static bool late(const struct flow *flow)
{
    return !flow->shut && !expect_owes(&flow->expect) && expect_line_begun(&flow->expect) &&
           since(flow->expect.begun_low, options()->line_timeout);
}

void judge_sent(struct flow *flow, const char *bytes, long result)
{
    count_calls(flow);
    if (late(flow)) {
        if (flow->rx.length > 0 && flow->read_at < world.turn_start)
            fail("flow %u: told to be late, and unheard", flow->number);
        expect_late(flow);
        flow->byte_high = world.now; // the idle time begins anew, whether it can be sent or not
    }
    if (++flow->sends > 2 * turns())
        fail("flow %u: %u send in a turn", flow->number, flow->sends);
    if (flow->shut || flow->error_told)
        fail("flow %u: send after the end", flow->number);
    no_rest(OWING_SECONDS + 1); // somebody had waited: whether all is taken is looked at once more
    if (result < 0) {
        told(flow, result);
        return;
    }
    moved(flow);
    judge.sent += (uint64_t)result;
    flow->owed_until = world.now;
    expect_sent(flow, bytes, (size_t)result);
}

static void judge_goodbye_of_drain(const struct flow *flow)
{
    if (!world.draining)
        fail("flow %u: goodbye without a reason", flow->number);
    if (flow->left_behind > 0 || (flow->read_at < world.drain_low && flow->rx.length > 0))
        fail("flow %u: goodbye before its input is read", flow->number);
    if (flow->fin_behind && flow->expect.lines.begun > 0)
        fail("flow %u: goodbye before its last, unterminated line is answered", flow->number);
}

void judge_shutdown(struct flow *flow, long result)
{
    if (result < 0) {
        told(flow, result);
        return;
    }
    world.progress = true;
    if (expect_owes(&flow->expect) || flow->expect.wait.waits)
        fail("flow %u: FIN before all answers", flow->number);
    if (flow->expect.resets)
        fail("flow %u: FIN instead of a reset", flow->number);
    if (flow_unsent(flow) > 0 && !flow->unsent_unknown)
        fail("flow %u: goodbye before the kernel has sent everything", flow->number);
    if (!flow->expect.lines.closing)
        judge_goodbye_of_drain(flow);
    flow->shut = true;
    flow->opening = false;
    flow->shut_low = world.turn_start;
    flow->shut_high = world.now;
}

static bool over_allowed(void)
{
    return world.fatal || world.over ||
           (world.draining &&
            world.now + TICK >= world.drain_low + options()->drain_timeout * SECOND);
}

// All is handed to the kernel, and the daemon waits until it is sent: it would be lost otherwise.
static bool leaving(const struct flow *flow)
{
    return !expect_owes(&flow->expect) && !flow->expect.wait.waits && !flow->expect.resets &&
           !flow->shut && flow_unsent(flow) > 0 &&
           (flow->fin_read || flow->expect.lines.closing || world.draining);
}

// Why the daemon may close FLOW by itself, because of what it has or because of the time.
static const char *own_reason(const struct flow *flow)
{
    const struct expect *expect = &flow->expect;

    if (expect_waits(expect) && flow_writable(flow))
        return NULL;
    if (flow->opening && !flow->fin_read && since(flow->opening_low, HEADER_SECONDS))
        return "the header's timeout";
    if (flow->busy && since(flow->shut_low, GOODBYE_SECONDS))
        return "no time left to be told";
    if ((flow->fin_read || flow->fin_peeked) && !expect_owes(expect) &&
        (flow_unsent(flow) == 0 || flow->unsent_unknown))
        return "the end of input";
    if ((expect_owes(expect) || expect_waits(expect) || leaving(flow)) &&
        since(flow->taken, VANISHED_SECONDS))
        return "the client's end";
    return !flow->opening && since(flow->byte_low, options()->idle_timeout) && flow->silent
               ? "the idle timeout"
               : NULL;
}

// Why the daemon may close FLOW, or NULL.
static const char *reason(const struct flow *flow)
{
    const struct expect *expect = &flow->expect;

    if (over_allowed())
        return "the end";
    // A turn after a wait may need memory before any call for its connection.
    if (flow->excused || (expect->resumed && faults.in_turn > 0))
        return "a fault";
    if (flow->error_told)
        return "an error";
    if (flow->shut)
        return flow->fin_read                           ? "a goodbye answered"
               : since(flow->shut_low, GOODBYE_SECONDS) ? "a goodbye of 2 s"
                                                        : NULL;
    if (flow->refused)
        return "a wrong header";
    if (expect->resets && !expect_owes(expect) && flow->lingers)
        return "a reset on demand";
    if (flow->role == &role_faulty && flow->dead) // which is all that is told while it waits
        return "a reset";
    return own_reason(flow);
}

// The server counts whom it has refused.
static void count_refused(const struct flow *flow)
{
    bool late = flow->opening && !flow->fin_read && since(flow->opening_low, HEADER_SECONDS);

    if (flow->refused || (late && !over_allowed() && !flow->excused && !flow->error_told))
        judge.refused++;
    else if (flow->header && (flow->excused || (late && over_allowed())))
        judge.refused_maybe++; // without memory to keep it, say
}

void judge_closed(struct flow *flow)
{
    const char *why = reason(flow);

    if (!why)
        fail("flow %u: closed without a reason", flow->number);
    // Who has sent something is heard before it is judged to have been silent, but for one that has
    // waited and does not read.
    bool deaf = flow->expect.resumed && !flow_writable(flow);
    if (strstr(why, "timeout") && !deaf && !expect_owes(&flow->expect) && !leaving(flow) &&
        flow->rx.length > 0 && flow->read_at < world.turn_start)
        fail("flow %u: closed unheard: %s", flow->number, why);
    trace("flow %u is closed: %s", flow->number, why);
    if (!flow->registered)
        return;
    judge.freed = true;
    no_rest(REST_AFTER_SECONDS);
    count_refused(flow);
    if (flow->busy)
        judge.busy--;
    else
        expect_connected(--judge.admitted);
}

// The clients in its queue have been told by their systems that they are connected.
static void judge_queue(const struct netsock *socket)
{
    if (!socket->first || over_allowed() || full() || faults.in_turn > 0 || kernel.exhausted ||
        judge.failed_high >= world.turn_start)
        return;
    // One that came in the very turn may have come after the last look.
    if (socket->first->opened < world.turn_start && socket->accepts <= socket->backlog)
        fail("%u clients that wait are turned away", socket->waiting);
}

void judge_listener_closed(const struct netsock *socket)
{
    if (!world.started || world.fatal)
        return;
    judge_queue(socket);
    if (!world.draining)
        fail("a listener is closed before the end");
}

void judge_phase(void)
{
    if (world.draining || world.succession || !world.server || world.server->handed_over ||
        world.server->service.phase == PHASE_READY)
        return;
    if (world.stops == 0 && !world.may_stop && !world.fatal)
        fail("the server ends without a reason");
    world.draining = true;
    world.drain_low = world.turn_start;
    world.drain_high = world.now;
}

// A timer that goes off at once again and again is no progress.
void judge_timer(void)
{
    if (world.now >= judge.timer_read + TICK / 2)
        world.progress = true;
    judge.timer_read = world.now;
    judge.timer_turn = world.turn;
}

void judge_signal(int number)
{
    world.progress = true;
    if (number == SIGHUP || number == SIGUSR2)
        return;
    // After /shutdown the first signal changes nothing.
    world.over |= ++world.stops > 1;
}

// What may not be when nothing is ready and the daemon goes to sleep.

static void judge_deadlines(const struct flow *flow)
{
    const struct expect *expect = &flow->expect;
    uint64_t last = flow->byte_high;
    uint64_t idle = options()->idle_timeout * SECOND, line = options()->line_timeout * SECOND;

    if (flow->shut || flow->busy) {
        if (world.now > flow->shut_high + GOODBYE_SECONDS * SECOND + TICK)
            fail("flow %u: a goodbye is not over in time", flow->number);
        return;
    }
    if (flow->opening) {
        last = world.draining && flow->opening_high < world.drain_high ? world.drain_high
                                                                       : flow->opening_high;
        if (!leaving(flow) && world.now > last + HEADER_SECONDS * SECOND + TICK)
            fail("flow %u: a header is waited for too long", flow->number);
        return;
    }
    // At the start of the graceful end, which has a limit of its own, the idle time begins anew.
    if (world.draining && last < world.drain_high)
        last = world.drain_high;
    // A client to or from whose system bytes still move is not idle, which is asked for only when
    // its time seems to be over.
    if (last < flow->asked)
        last = flow->asked;
    if (idle != 0 && !flow->excused && world.now > last + idle + TICK)
        fail("flow %u: the idle timeout is not kept", flow->number);
    if (line != 0 && expect_line_begun(expect) && !expect_owes(expect) && !leaving(flow) &&
        flow_writable(flow) &&
        world.now >
            (expect->begun_high > flow->owed_until ? expect->begun_high : flow->owed_until) + line +
                TICK)
        fail("flow %u: the line timeout is not kept", flow->number);
}

// A wait is over in time, with the turn that it needs, and whatever a turn may cost. Where there is
// no room, a turn may have been used up before the line that asks for it.
static void judge_wait(const struct flow *flow, struct wait *wait)
{
    if (!flow_writable(flow)) {
        wait->over_high = 0;
        return;
    }
    if (world.draining)
        fail("flow %u: it waits although the server ends", flow->number);
    if (wait->over_high == 0)
        wait->over_high = world.now + wait->nanoseconds;
    if (world.now > wait->over_high + LATE_MS_MAX * MILLISECOND)
        fail("flow %u: a delay is not over in time", flow->number);
}

static void judge_flow(struct flow *flow)
{
    const struct expect *expect = &flow->expect;
    bool owes = expect_owes(expect);
    // The turn after a wait begins where there is room to send, whatever it comes to.
    bool had_turn = !expect->resumed || flow_writable(flow);

    if (!flow->registered)
        fail("flow %u is accepted and then forgotten", flow->number);
    if (flow->must_close)
        fail("flow %u is kept although it has failed", flow->number);
    if (flow->error)
        fail("flow %u: an error is not asked for", flow->number);
    if (expect_waits(expect)) {
        judge_wait(flow, &flow->expect.wait);
        return;
    }
    if (!owes && expect->resets && had_turn)
        fail("flow %u: no reset although nothing is owed", flow->number);
    if ((owes || leaving(flow)) && flow_writable(flow))
        fail("flow %u: answers are not sent although there is room", flow->number);
    // A turn that has used up its answers waits for room before it looks at what is left.
    if (!owes && !leaving(flow) && flow_writable(flow) &&
        (flow->rx.length > 0 || flow->fin_in || flow->dead))
        fail("flow %u: input is not read", flow->number);
    if (!owes && had_turn && !leaving(flow) && !flow->shut &&
        (expect->lines.closing || world.draining))
        fail("flow %u: no goodbye although nothing is owed", flow->number);
    judge_deadlines(flow);
}

static bool may_be_idle(const struct flow *flow)
{
    const struct expect *expect = &flow->expect;

    return !expect_owes(expect) && !expect->wait.waits && !expect->resumed && !leaving(flow) &&
           !expect_line_begun(expect) && expect->lines.overlong == 0 && !flow->shut && !flow->busy;
}

// For what happens at a time of its own. The places stay when nobody waits any more.
static size_t delays_memory(void)
{
    size_t answer = DELAYED_BYTES + options()->max_datagram, memory = udp.waiting * answer;

    if (judge.faulty_most > 0)
        memory += PLACE_BYTES * (PLACES_MIN + 2 * judge.faulty_most);
    if (udp.waiting_most > 0)
        memory += PLACE_BYTES * (PLACES_MIN + 2 * udp.waiting_most);
    return memory;
}

static void judge_flows(void)
{
    size_t memory = delays_memory();

    for (unsigned i = 0; i < flows.held_count; i++) {
        judge_flow(flows.held[i]);
        memory += CONN_BYTES;
        memory += options()->log_level >= LOG_DETAIL ? PEER_BYTES : 0;
        if (flows.held[i]->opening || (flows.held[i]->header && flows.held[i]->header->announced))
            memory += OPENING_BYTES;
        if (!may_be_idle(flows.held[i]))
            memory += CONN_BYTES_MAX + 2 * options()->max_line;
    }
    if (allocated.bytes > judge.memory + memory)
        fail("%zu bytes are held for connections that may need %zu", allocated.bytes - judge.memory,
             memory);
}

static void judge_listener(const struct netsock *socket)
{
    bool failed = judge.failed_high != 0 && !judge.freed && world.now <= judge.failed_high + TICK;

    if (world.stops > 0 || world.draining)
        fail("a listener is open although the server is to end");
    if (socket->waiting > 0 && !full() && !failed)
        fail("a client waits although it could be taken in");
}

static void judge_sockets(void)
{
    for (const struct netsock *socket = netsocks; socket; socket = socket->next) {
        if (socket->type == SOCK_STREAM)
            judge_listener(socket);
        else if (socket->oldest && !rests(socket))
            fail("a datagram is not read");
    }
}

static void judge_counters(void)
{
    const struct counters *counters = &world.server->service.counters;
    uint64_t low = judge.tcp_total + udp.peers;

    if (counters->connected_tcp != judge.admitted || counters->busy_tcp != judge.busy_total)
        fail("connected_tcp=%u busy_tcp=%llu, in truth %u and %llu", counters->connected_tcp,
             (unsigned long long)counters->busy_tcp, judge.admitted,
             (unsigned long long)judge.busy_total);
    if (counters->total_clients < low || counters->total_clients > low + udp.peers_maybe)
        fail("total_clients=%llu, in truth %llu", (unsigned long long)counters->total_clients,
             (unsigned long long)low);
    uint64_t known = counters->udp_answered + counters_dropped(counters) + udp.discarded;
    if (counters->udp_answered != udp.answered || known > udp.read ||
        known + udp.waiting < udp.read)
        fail("udp_answered=%llu udp_dropped=%llu, in truth %llu of %llu",
             (unsigned long long)counters->udp_answered,
             (unsigned long long)counters_dropped(counters), (unsigned long long)udp.answered,
             (unsigned long long)(udp.read - udp.discarded));
    if (counters->proxy_refused < judge.refused ||
        counters->proxy_refused > judge.refused + judge.refused_maybe)
        fail("proxy_refused=%llu, in truth %llu to %llu more",
             (unsigned long long)counters->proxy_refused, (unsigned long long)judge.refused,
             (unsigned long long)judge.refused_maybe);
}

// What is told of connections that have ended, and of all their bytes.
static void judge_sums(const struct counters *counters)
{
    uint64_t closed = 0;

    for (int i = 0; i < CLOSINGS; i++)
        closed += counters->closed_tcp[i];
    if (counters->accepted_tcp != judge.tcp_total || closed + judge.admitted != judge.tcp_total)
        fail("%llu connections are counted as admitted, and %llu as closed, in truth %llu but %u",
             (unsigned long long)counters->accepted_tcp, (unsigned long long)closed,
             (unsigned long long)judge.tcp_total, judge.admitted);
    if (counters->closed_tcp[CLOSED_PROXY] != counters->proxy_refused)
        fail("%llu connections are counted as closed for their headers",
             (unsigned long long)counters->closed_tcp[CLOSED_PROXY]);
    if (counters->received[PROTOCOL_TCP] != judge.received ||
        counters->sent[PROTOCOL_TCP] != judge.sent)
        fail("bytes are counted wrong: %llu and %llu, in truth %llu and %llu",
             (unsigned long long)counters->received[PROTOCOL_TCP],
             (unsigned long long)counters->sent[PROTOCOL_TCP], (unsigned long long)judge.received,
             (unsigned long long)judge.sent);
}

void judge_sleep(void)
{
    if (world.over)
        fail("the second signal does not end the server");
    if (world.draining && world.now > world.drain_high + options()->drain_timeout * SECOND)
        fail("the graceful end takes too long");
    judge_sockets();
    judge_delayed();
    judge_flows();
    judge_counters();
    judge_sums(&world.server->service.counters);
}

void judge_turn_over(void)
{
    world.futile = world.progress || faults.in_turn > 0 ? 0 : world.futile + 1;
    if (world.futile > FUTILE_MAX)
        fail("%u turns in a row do nothing", world.futile);
    world.progress = false;
    // The daemon asks for the time when it needs it, which may be long after it has read.
    for (unsigned i = 0; i < flows.held_count; i++)
        if (flows.held[i]->expect.begun_turn == world.turn)
            flows.held[i]->expect.begun_high = world.now;
    for (struct netsock *socket = netsocks; socket; socket = socket->next)
        judge_batch_over(socket, false);
}

// Whether they are still there is asked now and then. Who waits causes nothing before the time has
// come.
static bool anybody_owed(void)
{
    for (unsigned i = 0; i < flows.held_count; i++)
        if (expect_owes(&flows.held[i]->expect) || leaving(flows.held[i]) ||
            (expect_waits(&flows.held[i]->expect) &&
             world.now >= flows.held[i]->expect.wait.over_low))
            return true;
    return false;
}

void judge_turn(void)
{
    world.turn++;
    world.turn_start = world.now;
    world.calls = 0;
    if (world.draining && world.now > world.drain_high + options()->drain_timeout * SECOND + TICK &&
        ++judge.late_turns > LATE_TURNS_MAX)
        fail("the graceful end does not end");
    if (world.hush && world.now > world.rest_from && !anybody_owed())
        fail("the server wakes up although nothing happens");
}

void judge_log(const char *line, size_t length)
{
    uint64_t second = world.now / SECOND;

    if (length < 2 || line[length - 1] != '\n' || memcmp(line, "ts=", 3) != 0)
        fail("not a line of the log: '%.*s'", (int)length, line);
    for (size_t i = 0; i < length - 1; i++)
        if (line[i] < ' ' || line[i] > '~')
            fail("byte %#x in the log", (unsigned char)line[i]);
    const char *level = memmem(line, length, " level=", 7);
    if (!level || memmem(level + 7, (size_t)(line + length - level) - 7, " level=", 7))
        fail("two lines of the log in one: '%.*s'", (int)length, line);
    if ((memmem(line, length, "msg=connected ", 14) || memmem(line, length, "msg=closed ", 11)) &&
        !memmem(line, length, " peer=", 6))
        fail("a connection without a name: '%.*s'", (int)length, line);
    if (second != judge.log_second)
        judge.log_lines = 0;
    judge.log_second = second;
    judge.log_lines += world.started && !world.succession; // clients cause none before
    if (judge.log_lines > LOG_PER_SECOND_MAX)
        fail("more than %d lines of log in a second", LOG_PER_SECOND_MAX);
    trace("log: %.*s", (int)length - 1, line);
}

void judge_run_over(int result)
{
    if ((result == 0) == world.fatal)
        fail("server_run returns %d", result);
    if (result == 0 && !world.draining)
        fail("the server ends by itself");
    if (!over_allowed() && flows.held_count > 0)
        fail("flow %u is open at the graceful end", flows.held[0]->number);
    if (result != 0 || over_allowed())
        return;
    judge_counters();
    if (udp.waiting > 0 && udp.waiting_most < DELAYED_MAX && faults.count == 0)
        fail("%llu delayed answers are not sent at the end", (unsigned long long)udp.waiting);
}

void judge_left(void)
{
    judge_ended();
    judge.log_lines = 0;
    for (unsigned i = 0; i < flows.held_count; i++)
        if (!flows.held[i]->in_flight)
            fail("flow %u is not handed over", flows.held[i]->number);
}

void judge_ended(void)
{
    if (allocated.blocks != 0)
        fail("%zu blocks of memory are left, %zu bytes", allocated.blocks, allocated.bytes);
    if (files_count() != 3)
        fail("%u descriptors are left", files_count() - 3);
}
