// SPDX-License-Identifier: MIT
// Two processes in one: what one has is handed over to the other, over real sockets and a real
// flight. The clock is the test's.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/conn_log.h"
#include "transport/handover.h"
#include "transport/ports.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { MUCH = 16 << 20, PATIENCE_MILLISECONDS = 30000, IDLE_SECONDS = 60, LINE_SECONDS = 20 };

// A process: the one before, and the one that goes on.
struct side {
    struct loop loop;
    struct options options;
    struct service service;
    struct gate gate;
    struct ports ports;
};

static struct {
    struct side before, after;
    struct handover handover;
    struct flight flight;
    ticks tick; // of the clock
    int client;
    unsigned taken, ended, lost; // as the log has it
    char problem[100];
    bool warned, unwritten; // what is logged
    int arrived[8];
    size_t arrivals;
} test;

static time_t epoch = 1000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){epoch + test.tick / TICKS_PER_SECOND,
                              test.tick % TICKS_PER_SECOND * TICK_MILLISECONDS * 1000000};
    return 0;
}

static unsigned memory_left; // allocations before one fails

static bool refused(void)
{
    errno = ENOMEM;
    return memory_left-- == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    return refused() ? NULL : __real_realloc(block, size);
}

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    (void)suppressed;
    if (strcmp(fields[0].text, "connections taken over") != 0)
        return !test.unwritten;
    test.warned = level == LOG_WARNING;
    test.taken = (unsigned)fields[1].number;
    test.ended = (unsigned)fields[2].number;
    test.lost = (unsigned)fields[3].number;
    assert_in_range(count, 5, 6); // what was left out is a field too
    snprintf(test.problem, sizeof test.problem, "%s", fields[4].text ? fields[4].text : "");
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

static void begin_side(struct side *side)
{
    side->options = (struct options){.max_tcp = 10,
                                     .max_line = 100,
                                     .max_datagram = 100,
                                     .backlog = 10,
                                     .socket_buffer = 65536,
                                     .idle_timeout = IDLE_SECONDS,
                                     .line_timeout = LINE_SECONDS};
    side->service.gate = &side->gate;
    assert_int_equal(loop_init(&side->loop, expire), 0);
    assert_true(peers_init(&side->service.peers, (uint64_t[2]){1, 2}));
    assert_true(ports_init(&side->ports, &side->loop, &side->options, &side->service));
}

static void end_side(struct side *side)
{
    ports_finish(&side->ports, "the test is over");
    peers_finish(&side->service.peers);
    loop_finish(&side->loop);
}

BEFORE_EACH
{
    memset(&test, 0, sizeof test);
    memory_left = UINT32_MAX;
    epoch += 100000;
    test.tick = 40;
    test.client = -1;
    test.flight = (struct flight){.memory = -1, .near = -1, .far = -1};
    log_set_level(LOG_INFO);
    log_set_sink(note);
    begin_side(&test.before);
    begin_side(&test.after);
    handover_open(&test.handover, -1);
}

AFTER_EACH
{
    memory_left = UINT32_MAX;
    handover_close(&test.handover);
    flight_close(&test.flight);
    end_side(&test.before);
    end_side(&test.after);
    if (test.client >= 0)
        close(test.client);
    log_set_sink(NULL);
}

static const struct address loopback = {.ip.s6_addr = {[10] = 0xff, 0xff, 127, [15] = 1}};

static struct duty duty(const char *name)
{
    return duty_find(name, strlen(name));
}

static void open_port(struct side *side, const char *name, enum protocol protocol)
{
    const char *call;
    int fd = net_open(protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, &loopback,
                      NET_ONE_FAMILY, 10, &call);

    assert_true(fd >= 0);
    assert_int_equal(ports_add(&side->ports, duty(name), protocol, fd, true), 0);
}

static void begin(const char *name)
{
    open_port(&test.before, name, PROTOCOL_TCP);
    assert_int_equal(ports_serve(&test.before.ports), 0);
}

// With small buffers, and segments that are smaller still: else the kernel waits for more room.
static int connected_to(const struct address *address, int type)
{
    static const int segment = 1000, small = 1 << 15;
    struct sockaddr_storage storage;
    socklen_t length = address_store(address, AF_INET, &storage);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_true(connect(fd, (struct sockaddr *)&storage, length) == 0 || errno == EINPROGRESS);
    return fd;
}

static void turn(struct side *side)
{
    assert_int_equal(loop_turn(&side->loop, false), 0);
}

// The kernel may be late with a step of its own: turns until WHAT, for half a minute.
#define turns_until(side, what)                                                                    \
    do {                                                                                           \
        for (int left = PATIENCE_MILLISECONDS; !(what) && left > 0; left--) {                      \
            turn(side);                                                                            \
            if (!(what))                                                                           \
                poll(NULL, 0, 1);                                                                  \
        }                                                                                          \
        assert_true(what);                                                                         \
    } while (0)

static unsigned all_connections(struct side *side)
{
    return side->service.counters.connected_tcp + side->ports.pool.busy +
           side->ports.pool.observers;
}

static void dial(void)
{
    unsigned all = all_connections(&test.before);

    test.client = connected_to(&test.before.ports.port[0].local, SOCK_STREAM);
    turns_until(&test.before, all_connections(&test.before) > all);
}

static void say(const char *text)
{
    assert_int_equal(send(test.client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// The connection of SIDE that began last, of those in LIFE; NULL if there is none.
static struct conn *conn_in(struct side *side, enum life life)
{
    struct pool *pool = &side->ports.pool;
    struct timeouts *all[] = {&pool->opening, &pool->idle, &pool->owing, &pool->goodbye,
                              &pool->observing};

    if (life == LIFE_WAITING && pool->delays.count > 0)
        return container_of(pool->delays.heap[pool->delays.count - 1], struct conn, delay);
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        for (struct list *at = all[i]->list.previous; at != &all[i]->list; at = at->previous) {
            struct conn *conn = container_of(at, struct conn, idle.link);

            if (conn_life(conn) == life)
                return conn;
        }
    return NULL;
}

static size_t input_of(struct side *side, enum life life)
{
    struct conn *conn = conn_in(side, life);

    return conn && conn->held ? conn->held->input : 0;
}

static void fly(bool passed)
{
    assert_true(flight_open(&test.flight));
    assert_true(handover_give(&test.before.ports, &test.flight, passed));
    close(test.flight.near);
    test.flight.near = -1;
}

static void land(void)
{
    handover_open(&test.handover, test.flight.far);
    test.flight.far = -1;
    assert_true(handover_comes(&test.handover));
    if (!test.handover.problem)
        assert_true(loop_continue(&test.after.loop, test.handover.header.start));
}

// All ports as they were.
static void claim_all(void)
{
    for (size_t i = 0; i < test.before.ports.count; i++) {
        const struct port *port = &test.before.ports.port[i];
        struct duty own = {port->role, port->proxy};
        int fd = handover_claim(&test.handover, own, port->protocol, &port->local, false);

        assert_true(fd >= 0);
        assert_int_equal(ports_add(&test.after.ports, own, port->protocol, fd, true), 0);
    }
}

static void end_before(void)
{
    end_side(&test.before);
    memset(&test.before, 0, sizeof test.before);
    begin_side(&test.before);
}

static void take_all(void)
{
    handover_take(&test.handover, &test.after.ports, false);
    assert_false(handover_comes(&test.handover));
    assert_int_equal(ports_serve(&test.after.ports), 0);
}

static void hand_over(void)
{
    fly(false);
    land();
    claim_all();
    end_before();
    take_all();
}

static void expect_taken(unsigned taken, unsigned ended, unsigned lost)
{
    assert_int_equal(test.taken, taken);
    assert_int_equal(test.ended, ended);
    assert_int_equal(test.lost, lost);
    assert_int_equal(test.warned, ended + lost > 0 || *test.problem);
}

static void expect_sums(void)
{
    const struct counters *counters = &test.after.service.counters;
    uint64_t closed = 0;

    for (int i = 0; i < CLOSINGS; i++)
        closed += counters->closed_tcp[i];
    assert_int_equal(counters->accepted_tcp, closed + counters->connected_tcp);
}

// What comes to the client until it is LENGTH bytes, or the end (-1) or a reset (-2).
static long hear(char *bytes, size_t length)
{
    size_t got = 0;

    for (int left = PATIENCE_MILLISECONDS; left > 0 && got < length; left--) {
        ssize_t some = recv(test.client, bytes + got, length - got, 0);

        if (some == 0)
            return got > 0 ? (long)got : -1;
        if (some < 0 && errno == ECONNRESET)
            return -2;
        got += some > 0 ? (size_t)some : 0;
        turn(&test.after);
        if (some < 0)
            poll(NULL, 0, 1);
    }
    return (long)got;
}

static void expect_heard(const char *text)
{
    char bytes[500];
    size_t length = strlen(text);

    assert_int_equal(hear(bytes, length), length);
    assert_memory_equal(bytes, text, length);
}

static void expect_end(void)
{
    char byte;

    assert_int_equal(hear(&byte, 1), -1);
}

TEST(nothing_comes_and_nothing_is_said)
{
    test.warned = true;
    assert_false(handover_comes(&test.handover));
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &loopback, false),
                     -1);
    handover_take(&test.handover, &test.after.ports, false);
    assert_true(test.warned);
}

TEST(who_is_idle_notices_nothing)
{
    begin("echo");
    dial();
    fly(false);
    land();
    assert_int_equal(test.handover.header.connections, 1);
    claim_all();
    end_before();
    take_all();
    expect_taken(1, 0, 0);
    assert_null(conn_in(&test.after, LIFE_READING)->held);
    say("a line\n");
    expect_heard("a line\n");
    assert_int_equal(test.after.service.counters.connected_tcp, 1);
    expect_sums();
}

TEST(half_a_line_is_made_whole)
{
    begin("echo");
    dial();
    say("half ");
    turns_until(&test.before, input_of(&test.before, LIFE_READING) == 5);
    test.tick += 4 * TICKS_PER_SECOND;
    hand_over();
    expect_taken(1, 0, 0);
    const struct held *held = conn_in(&test.after, LIFE_READING)->held;
    // The loop's ticks begin at 1.
    assert_int_equal(held->begun->line.due, 1 + LINE_SECONDS * TICKS_PER_SECOND + 1);
    assert_int_equal(conn_in(&test.after, LIFE_READING)->idle.due,
                     1 + IDLE_SECONDS * TICKS_PER_SECOND + 1);
    say("a line\n");
    expect_heard("half a line\n");
}

TEST(the_rest_of_an_overlong_line_is_dropped)
{
    char line[150];

    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    begin("echo");
    dial();
    say(line);
    turns_until(&test.before, conn_in(&test.before, LIFE_READING)->held);
    hand_over();
    assert_true(conn_in(&test.after, LIFE_READING)->held->memory.discarding);
    say("rest\nnext\n");
    expect_heard("ERR too-long-line\nnext\n");
}

TEST(half_a_header_is_made_whole)
{
    begin("echo+proxy");
    dial();
    say("PROXY TCP4 192.0.2.7 192.0");
    turns_until(&test.before, input_of(&test.before, LIFE_OPENING) == 26);
    hand_over();
    expect_taken(1, 0, 0);
    assert_non_null(conn_in(&test.after, LIFE_OPENING));
    say(".2.8 5000 6000\r\n/whoami\n");
    expect_heard("proto=tcp peer=192.0.2.7:5000 local=192.0.2.8:6000 via=127.0.0.1:");
}

TEST(who_a_proxy_has_announced_stays_that)
{
    begin("echo+proxy");
    dial();
    say("PROXY TCP4 192.0.2.7 192.0.2.8 5000 6000\r\n");
    turns_until(&test.before, conn_in(&test.before, LIFE_READING));
    hand_over();
    assert_null(conn_in(&test.after, LIFE_READING)->held->begun);
    say("/whoami\n");
    expect_heard("proto=tcp peer=192.0.2.7:5000 local=192.0.2.8:6000 via=127.0.0.1:");
}

// Sends until neither the daemon nor the kernel takes more; the number of bytes.
static size_t stuff(const char *unit)
{
    size_t length = strlen(unit), sent = 0, at = 0;
    int idle = 0;

    while (sent < MUCH && idle < 50) {
        ssize_t some = send(test.client, unit + at, length - at, MSG_NOSIGNAL);

        idle = some > 0 ? 0 : idle + 1;
        sent += some > 0 ? (size_t)some : 0;
        at = some > 0 ? (at + (size_t)some) % length : at;
        turn(&test.before);
        if (some < 0)
            poll(NULL, 0, 1);
    }
    return sent;
}

static void expect_repeated(const char *unit, size_t bytes)
{
    size_t length = strlen(unit), at = 0;
    char got[4096];

    while (at < bytes) {
        long some = hear(got, size_min(sizeof got, bytes - at));

        assert_true(some > 0);
        for (long i = 0; i < some; i++, at++)
            if (got[i] != unit[at % length])
                fail_msg("byte %zu is %d", at, got[i]);
    }
}

TEST(what_is_unsent_is_sent_once)
{
    static const char unit[] = "a line that is sent over and over\n";

    begin("echo");
    dial();
    size_t sent = stuff(unit);
    const struct conn *conn = conn_in(&test.before, LIFE_WRITING);
    assert_non_null(conn);
    assert_true(conn->held->sent < conn->held->output);
    size_t output = conn->held->output - conn->held->sent, input = conn->held->input;
    hand_over();
    expect_taken(1, 0, 0);
    conn = conn_in(&test.after, LIFE_WRITING);
    assert_non_null(conn);
    assert_int_equal(conn->held->output, output);
    assert_int_equal(conn->held->input, input);
    expect_repeated(unit, sent - sent % (sizeof unit - 1));
}

TEST(who_closes_after_what_is_unsent_does_so)
{
    begin("faulty");
    dial();
    say("/bytes 3000000\n/close\n");
    turns_until(&test.before, conn_in(&test.before, LIFE_WRITING));
    hand_over();
    expect_repeated("x", 2999999);
    expect_heard("\n");
    expect_end();
}

TEST(who_waits_waits_for_the_rest_of_its_time)
{
    begin("faulty");
    dial();
    say("/delay 4000 later\nand then\n");
    turns_until(&test.before, conn_in(&test.before, LIFE_WAITING));
    uint64_t due = conn_in(&test.before, LIFE_WAITING)->delay.due;
    test.tick += 8;
    hand_over();
    expect_taken(1, 0, 0);
    struct conn *conn = conn_in(&test.after, LIFE_WAITING);
    assert_non_null(conn);
    assert_true(conn->delay.due == due);
    assert_true(ports_next_at(&test.after.ports) == due);
    test.tick += 7;
    turn(&test.after);
    ports_expire(&test.after.ports, loop_now(&test.after.loop));
    assert_int_equal(conn_life(conn), LIFE_WAITING);
    test.tick += 2;
    turn(&test.after);
    ports_expire(&test.after.ports, loop_now(&test.after.loop));
    expect_heard("later\nand then\n");
}

TEST(a_goodbye_goes_on_for_the_rest_of_its_time)
{
    begin("faulty");
    dial();
    say("/close\n");
    turns_until(&test.before, conn_in(&test.before, LIFE_GOODBYE));
    ticks due = conn_in(&test.before, LIFE_GOODBYE)->idle.due;
    hand_over();
    expect_taken(1, 0, 0);
    struct conn *conn = conn_in(&test.after, LIFE_GOODBYE);
    assert_non_null(conn);
    assert_int_equal(conn->idle.due, due);
    assert_int_equal(conn->watch.note, CLOSED_EOF);
    expect_end();
    close(test.client);
    test.client = -1;
    turns_until(&test.after, test.after.service.counters.connected_tcp == 0);
    assert_int_equal(test.after.service.counters.closed_tcp[CLOSED_EOF], 1);
    expect_sums();
}

TEST(what_the_kernel_has_not_sent_yet_is_waited_for)
{
    begin("echo");
    dial();
    size_t sent = stuff("0123456789\n");
    shutdown(test.client, SHUT_WR);
    // Read until the daemon owes nothing more, but the kernel does.
    char got[4096];
    size_t heard = 0;
    for (int left = PATIENCE_MILLISECONDS; left > 0 && !conn_in(&test.before, LIFE_FLUSHING);
         left--) {
        ssize_t some = recv(test.client, got, sizeof got, 0);

        heard += some > 0 ? (size_t)some : 0;
        turn(&test.before);
        if (some < 0)
            poll(NULL, 0, 1);
    }
    assert_non_null(conn_in(&test.before, LIFE_FLUSHING));
    hand_over();
    expect_taken(1, 0, 0);
    assert_non_null(conn_in(&test.after, LIFE_FLUSHING));
    while (heard < sent) {
        long some = hear(got, size_min(sizeof got, sent - heard));

        assert_true(some > 0);
        heard += (size_t)some;
    }
    expect_end();
}

TEST(the_busy_and_observers_are_counted_as_such)
{
    test.before.options.max_tcp = 1;
    begin("echo");
    dial();
    int first = test.client;
    dial();
    turns_until(&test.before, conn_in(&test.before, LIFE_GOODBYE));
    hand_over();
    expect_taken(2, 0, 0);
    assert_int_equal(test.after.service.counters.connected_tcp, 1);
    assert_int_equal(test.after.ports.pool.busy, 1);
    expect_heard("Server Busy\n");
    expect_end();
    close(first);
}

TEST(half_a_request_is_made_whole)
{
    begin("http");
    dial();
    say("GET /livez HT");
    turns_until(&test.before, input_of(&test.before, LIFE_READING) == 13);
    test.after.ports.pool.process = &(struct process){.statm = -1, .descriptors = -1};
    hand_over();
    expect_taken(1, 0, 0);
    assert_int_equal(test.after.ports.pool.observers, 1);
    assert_int_equal(test.after.service.counters.connected_tcp, 0);
    say("TP/1.1\r\n\r\n");
    expect_heard("HTTP/1.1 200 OK\r\n");
}

TEST(listeners_and_those_in_their_queues_come_along)
{
    begin("echo");
    struct address address = test.before.ports.port[0].local;
    test.client = connected_to(&address, SOCK_STREAM);
    say("waited\n");
    hand_over();
    expect_taken(0, 0, 0);
    assert_true(address_same(&test.after.ports.port[0].local, &address));
    expect_heard("waited\n");
}

TEST(a_port_is_claimed_by_what_it_is_and_once)
{
    struct address any = loopback, other = loopback;

    open_port(&test.before, "echo", PROTOCOL_TCP);
    open_port(&test.before, "raw", PROTOCOL_UDP);
    struct address tcp = test.before.ports.port[0].local, udp = test.before.ports.port[1].local;
    fly(false);
    land();
    other.ip.s6_addr[15] = 2;
    any.port = 0;
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_UDP, &tcp, false), -1);
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &tcp, true), -1);
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &other, false), -1);
    assert_int_equal(handover_claim(&test.handover, duty("raw"), PROTOCOL_TCP, &any, false), -1);
    assert_int_equal(handover_claim(&test.handover, duty("echo+proxy"), PROTOCOL_TCP, &any, false),
                     -1);
    other = tcp;
    other.port++;
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &other, false), -1);
    other = tcp;
    other.scope = 1;
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &other, false), -1);
    int fd = handover_claim(&test.handover, duty("discard"), PROTOCOL_TCP, &tcp,
                            false); // whatever it did
    assert_true(fd >= 0);
    assert_int_equal(handover_claim(&test.handover, duty("discard"), PROTOCOL_TCP, &tcp, false),
                     -1);
    close(fd);
    fd = handover_claim(&test.handover, duty("raw"), PROTOCOL_UDP, &any, false);
    assert_true(fd >= 0);
    struct address local = net_local(fd);
    assert_true(address_same(&local, &udp));
    close(fd);
}

TEST(what_was_passed_comes_where_it_would_not_be_passed_again)
{
    struct state_port port;

    for (int passed = 0; passed < 2; passed++) {
        struct address local;

        open_port(&test.before, "raw", PROTOCOL_TCP);
        test.before.ports.port[0].own = false;
        local = test.before.ports.port[0].local;
        fly(passed);
        land();
        assert_int_equal(handover_claim(&test.handover, duty("raw"), PROTOCOL_TCP, &local, false),
                         -1);
        int fd = handover_next_passed(&test.handover, &port);
        assert_int_equal(fd >= 0, passed);
        if (passed) {
            assert_string_equal(port.name, "raw");
            assert_int_equal(port.protocol, PROTOCOL_TCP);
            close(fd);
        }
        assert_int_equal(handover_next_passed(&test.handover, &port), -1);
        unit_after_each();
        unit_before_each();
    }
}

TEST(what_is_asked_of_the_process_goes_along_to_the_same_one)
{
    struct process process = {.statm = open("/proc/self/statm", O_RDONLY),
                              .descriptors = open("/proc/self/fd", O_RDONLY | O_DIRECTORY)};
    struct process half;

    test.before.ports.pool.process = &process;
    begin("http");
    dial();
    fly(true);
    land();
    assert_int_equal(test.handover.header.process, 2);
    assert_true(test.handover.process[0] >= 0 && test.handover.process[1] >= 0);
    claim_all();
    end_before();
    take_all();
    expect_taken(1, 0, 0);
    unit_after_each();
    unit_before_each();
    test.before.ports.pool.process = &process;
    begin("http");
    fly(false);
    land();
    assert_int_equal(test.handover.header.process, 0);
    for (int without = 0; without < 2; without++) {
        half.statm = without ? -1 : process.statm;
        half.descriptors = without ? process.descriptors : -1;
        unit_after_each();
        unit_before_each();
        test.before.ports.pool.process = &half;
        begin("http");
        fly(true);
        land();
        assert_int_equal(test.handover.header.process, 0);
        assert_int_equal(test.handover.process[0], -1);
    }
    close(process.statm);
    close(process.descriptors);
}

TEST(a_port_that_is_gone_still_has_its_connections)
{
    begin("echo");
    dial();
    say("half ");
    turns_until(&test.before, input_of(&test.before, LIFE_READING) == 5);
    fly(false);
    land();
    end_before();
    take_all();
    expect_taken(1, 0, 0);
    assert_int_equal(test.after.ports.count, 1);
    assert_int_equal(test.after.ports.port[0].watch.fd, -1);
    say("a line\n");
    expect_heard("half a line\n");
}

TEST(a_port_without_a_socket_goes_along_without_one)
{
    struct state_port port;

    begin("echo");
    assert_non_null(ports_add_closed(&test.before.ports, duty("raw"), &loopback));
    fly(true);
    land();
    assert_int_equal(test.handover.header.ports, 2);
    assert_int_equal(handover_next_passed(&test.handover, &port), -1);
}

TEST(connections_come_to_a_port_that_does_the_same)
{
    open_port(&test.after, "raw", PROTOCOL_TCP);
    open_port(&test.after, "echo+proxy", PROTOCOL_TCP);
    open_port(&test.after, "echo", PROTOCOL_UDP);
    open_port(&test.after, "echo", PROTOCOL_TCP);
    open_port(&test.after, "echo", PROTOCOL_TCP);
    begin("echo");
    dial();
    fly(false);
    land();
    end_before();
    take_all();
    expect_taken(1, 0, 0);
    assert_int_equal(test.after.ports.count, 5);
    assert_ptr_equal(conn_in(&test.after, LIFE_READING)->port, &test.after.ports.port[3]);
}

TEST(of_two_such_ports_the_own_one_has_them)
{
    open_port(&test.before, "echo", PROTOCOL_TCP);
    open_port(&test.before, "echo", PROTOCOL_TCP);
    assert_int_equal(ports_serve(&test.before.ports), 0);
    test.client = connected_to(&test.before.ports.port[1].local, SOCK_STREAM);
    turns_until(&test.before, all_connections(&test.before) == 1);
    hand_over();
    assert_ptr_equal(conn_in(&test.after, LIFE_READING)->port, &test.after.ports.port[1]);
}

// Bytes as a process might have left them, and the client's connection.
static struct state_writer lie;
static struct state_header told;

static void lie_about(uint32_t ports, uint32_t connections)
{
    told = (struct state_header){.version = STATE_VERSION,
                                 .start = test.before.loop.start,
                                 .ports = ports,
                                 .connections = connections};
    told.counters.accepted_tcp = told.counters.total_clients = connections;
    state_write_header(&lie, &told);
}

static void lie_port(const char *name, enum protocol protocol, bool open)
{
    struct state_port port = {.protocol = protocol, .local = loopback, .open = open, .own = true};

    memcpy(port.name, name, strlen(name));
    state_write_port(&lie, &port);
}

static void fly_lie(const int *fds, size_t count)
{
    assert_true(flight_open(&test.flight));
    assert_true(flight_send_bytes(&test.flight, lie.bytes, lie.length));
    for (size_t i = 0; i < count; i++)
        assert_true(flight_send(&test.flight, fds[i]));
    assert_true(flight_flush(&test.flight));
    close(test.flight.near);
    test.flight.near = -1;
    state_free(&lie);
}

// A connection of a test's own, whose server end is returned.
static int connection(void)
{
    const char *call;
    int listener = net_open(SOCK_STREAM, &loopback, NET_ONE_FAMILY, 10, &call), fd;
    struct address address = net_local(listener);

    if (test.client >= 0)
        close(test.client);
    test.client = connected_to(&address, SOCK_STREAM);
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PATIENCE_MILLISECONDS), 1);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    return fd;
}

// One connection, of a port of NAME, as STATE has it.
static void hand_over_lie(const char *name, const struct state_connection *state)
{
    int fd = connection();

    lie_about(1, 1);
    lie_port(name, PROTOCOL_TCP, false);
    state_write_connection(&lie, state);
    fly_lie(&fd, 1);
    close(fd);
    land();
    take_all();
}

static const struct state_connection reading = {
    .life = LIFE_READING, .closing = CLOSINGS, .outcome = TURN_MORE, .idle_due = TICKS_NEVER};

// A connection of ROLE comes, as one that waits for a time and has nothing else.
static void hand_over_waiting(const char *role)
{
    struct state_connection lied = reading;

    lied.life = LIFE_WAITING;
    lied.outcome = TURN_WAIT;
    hand_over_lie(role, &lied);
    expect_taken(1, 0, 0);
    assert_non_null(conn_in(&test.after, LIFE_WAITING));
}

TEST(who_waits_for_nothing_goes_on_reading)
{
    hand_over_waiting("faulty");
    ports_expire(&test.after.ports, loop_now(&test.after.loop));
    turns_until(&test.after, conn_in(&test.after, LIFE_READING));
}

// A role that never waits, as far as this program knows.
TEST(an_observer_that_has_waited_is_timed)
{
    hand_over_waiting("http");
    ports_expire(&test.after.ports, loop_now(&test.after.loop));
    struct conn *conn = conn_in(&test.after, LIFE_WRITING);
    assert_non_null(conn);
    assert_true(timeout_running(&conn->idle));
}

TEST(what_is_begun_may_be_as_long_as_its_header)
{
    static const char header[] = "PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n";
    struct state_connection both = reading;
    struct held *held = NULL;
    size_t given_back = 0;

    both.header = both.input = header;
    both.header_length = both.input_length = sizeof header - 1;
    assert_true(held_resume(&held, &both));
    assert_non_null(held);
    assert_int_equal(held->input, sizeof header - 1);
    held_drop(&held, &given_back);
}

TEST(a_role_that_there_is_not_ends_its_connections_by_a_goodbye)
{
    hand_over_lie("no-such", &reading);
    expect_taken(0, 1, 0);
    assert_string_equal(test.problem, "");
    expect_end();
    expect_sums();
    assert_int_equal(test.after.service.counters.connected_tcp, 1);
}

TEST(a_trial_ends_nobody)
{
    int fd = connection();

    lie_about(1, 1);
    lie_port("no-such", PROTOCOL_TCP, false);
    state_write_connection(&lie, &reading);
    fly_lie(&fd, 1);
    land();
    handover_take(&test.handover, &test.after.ports, true);
    expect_taken(0, 1, 0);
    ports_finish(&test.after.ports, "over");
    assert_true(
        ports_init(&test.after.ports, &test.after.loop, &test.after.options, &test.after.service));
    char byte;
    assert_int_equal(recv(test.client, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1); // it still may
    close(fd);
}

TEST(what_is_owed_comes_before_the_goodbye)
{
    struct state_connection lied = reading;

    lied.life = LIFE_WRITING;
    lied.output = "owed";
    lied.output_length = 4;
    lied.input = "more\n";
    lied.input_length = 5;
    hand_over_lie("no-such", &lied);
    expect_taken(0, 1, 0);
    expect_heard("owed");
    expect_end();
}

TEST(each_life_that_cannot_go_on_ends)
{
    static const struct {
        enum life life;
        enum outcome outcome;
    } row[] = {{LIFE_OPENING, TURN_MORE},
               {LIFE_READING, TURN_MORE},
               {LIFE_WRITING, TURN_AGAIN},
               {LIFE_WAITING, TURN_WAIT},
               {LIFE_FLUSHING, TURN_MORE}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct state_connection lied = reading;

        lied.life = row[i].life;
        lied.outcome = row[i].outcome;
        lied.wait_ms = 1000;
        lied.memory.left = 7;
        hand_over_lie("no-such", &lied);
        expect_taken(0, 1, 0);
        expect_end();
        unit_after_each();
        unit_before_each();
    }
}

TEST(more_input_than_there_is_room_for_ends_it)
{
    enum { KEPT = KEPT_MAX_BYTES, ALL = READ_MAX_BYTES + KEPT_MAX_BYTES };
    static char bytes[ALL + 1];
    static const struct {
        enum life life;
        enum outcome outcome;
        uint32_t length;
        bool goes_on;
    } row[] = {
        {LIFE_READING, TURN_MORE, KEPT, true},      {LIFE_READING, TURN_MORE, KEPT + 1, false},
        {LIFE_OPENING, TURN_MORE, KEPT + 1, false}, {LIFE_WRITING, TURN_AGAIN, ALL, true},
        {LIFE_WRITING, TURN_AGAIN, ALL + 1, false}, {LIFE_WAITING, TURN_WAIT, ALL, true},
        {LIFE_WAITING, TURN_WAIT, ALL + 1, false},
    };

    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct state_connection lied = reading;

        lied.life = row[i].life;
        lied.outcome = row[i].outcome;
        lied.input = bytes;
        lied.input_length = row[i].length;
        hand_over_lie("echo", &lied);
        expect_taken(row[i].goes_on, !row[i].goes_on, 0);
        turn(&test.after); // which looks at it
        unit_after_each();
        unit_before_each();
    }
}

TEST(a_header_that_is_none_ends_it)
{
    static const struct {
        const char *header;
        bool goes_on;
    } row[] = {
        {"PROXY TCP4 192.0.2.7 192.0.2.8 5000 6000\r\n", true},
        {"PROXY TCP4 192.0.2.7 192.0.2.8 5000 6000\r\nmore", false},
        {"PROXY TCP4 192.0.2.7 192.0", false},
        {"PROXY UNKNOWN\r\n", false},
        {"rubbish", false},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct state_connection lied = reading;

        lied.header = row[i].header;
        lied.header_length = (uint32_t)strlen(row[i].header);
        hand_over_lie("echo+proxy", &lied);
        expect_taken(row[i].goes_on, !row[i].goes_on, 0);
        unit_after_each();
        unit_before_each();
    }
}

TEST(deadlines_are_no_later_than_if_they_began_now)
{
    ticks now = loop_now(&test.after.loop), all = now + IDLE_SECONDS * TICKS_PER_SECOND + 1;
    const struct {
        ticks told, due;
    } row[] = {{all - 5, all - 5}, {all + 1000, all}, {TICKS_NEVER, all}, {0, 0}, {all, all}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct state_connection lied = reading;

        lied.idle_due = row[i].told;
        hand_over_lie("echo", &lied);
        assert_int_equal(conn_in(&test.after, LIFE_READING)->idle.due, row[i].due);
        unit_after_each();
        unit_before_each();
    }
}

TEST(without_an_idle_timeout_none_falls_due)
{
    struct state_connection lied = reading;

    timeouts_init(&test.after.ports.pool.idle, 0);
    timeouts_init(&test.after.ports.pool.line, 0);
    lied.idle_due = 50;
    lied.line_due = 45;
    lied.input = "half";
    lied.input_length = 4;
    hand_over_lie("echo", &lied);
    assert_int_equal(conn_in(&test.after, LIFE_READING)->idle.due, TICKS_NEVER);
    assert_int_equal(conn_in(&test.after, LIFE_READING)->held->begun->line.due, TICKS_NEVER);
}

TEST(a_delay_is_no_longer_than_it_was_asked_for)
{
    static const uint64_t told_due[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 60, 0};

    for (size_t i = 0; i < ARRAY_LENGTH(told_due); i++) {
        struct state_connection lied = reading;
        uint64_t most = loop_nanoseconds(&test.after.loop) + UINT64_C(500000000);

        lied.life = LIFE_WAITING;
        lied.outcome = TURN_WAIT;
        lied.wait_ms = 500;
        lied.due = told_due[i];
        hand_over_lie("faulty", &lied);
        assert_true(ports_next_at(&test.after.ports) == uint64_min(told_due[i], most));
        unit_after_each();
        unit_before_each();
    }
}

// Messages have begun in another order than connections have moved.
TEST(deadlines_fall_due_in_order)
{
    static const ticks due[] = {70, 50, 90, 60, 80, 50};
    int fds[ARRAY_LENGTH(due)];
    ticks before = 0;
    size_t count = 0;

    lie_about(1, ARRAY_LENGTH(due));
    lie_port("echo", PROTOCOL_TCP, false);
    for (size_t i = 0; i < ARRAY_LENGTH(due); i++) {
        struct state_connection lied = reading;

        fds[i] = connection();
        lied.line_due = due[i];
        lied.idle_due = 200 - due[i];
        lied.input = "half";
        lied.input_length = 4;
        state_write_connection(&lie, &lied);
    }
    fly_lie(fds, ARRAY_LENGTH(fds));
    land();
    take_all();
    for (const struct list *at = test.after.ports.pool.line.list.next;
         at != &test.after.ports.pool.line.list; at = at->next, count++) {
        ticks now = container_of(at, struct timeout, link)->due;

        assert_true(now >= before);
        before = now;
    }
    assert_int_equal(count, ARRAY_LENGTH(due));
    assert_int_equal(timeouts_next(&test.after.ports.pool.line), 50);
    assert_int_equal(timeouts_next(&test.after.ports.pool.idle), 110);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
}

TEST(another_version_ends_everybody_by_a_goodbye)
{
    int fds[2];
    const char *call;

    fds[0] = net_open(SOCK_STREAM, &loopback, NET_ONE_FAMILY, 10, &call);
    fds[1] = connection();
    told = (struct state_header){.version = STATE_VERSION + 1, .ports = 1, .connections = 1};
    state_write_header(&lie, &told);
    fly_lie(fds, 2);
    land();
    assert_string_equal(test.handover.problem, "it is of another version");
    assert_int_equal(test.handover.header.version, STATE_VERSION + 1);
    take_all();
    expect_taken(0, 1, 0); // the listener is none of them
    assert_string_equal(test.problem, "it is of another version");
    expect_end();
    expect_sums();
    assert_int_equal(test.after.service.counters.total_clients, 1);
    close(fds[0]);
    close(fds[1]);
}

TEST(rubbish_ends_everybody_by_a_goodbye)
{
    int fd = connection();

    lie.bytes = strdup("rubbish, and no more");
    lie.length = 20;
    fly_lie(&fd, 1);
    close(fd);
    land();
    take_all();
    assert_string_equal(test.problem, "it is none of this program's");
    expect_taken(0, 1, 0);
    expect_end();
}

TEST(too_many_ports_are_refused)
{
    static const struct {
        uint32_t ports, process;
    } row[] = {{PORTS_MAX + 1, 0}, {UINT32_MAX, 0}, {0, 3}, {0, UINT32_MAX}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        told = (struct state_header){
            .version = STATE_VERSION, .ports = row[i].ports, .process = row[i].process};
        state_write_header(&lie, &told);
        fly_lie(NULL, 0);
        land();
        assert_string_equal(test.handover.problem, "there are too many ports");
        assert_int_equal(test.handover.header.ports, 0);
        handover_close(&test.handover);
        flight_close(&test.flight);
    }
}

TEST(a_socket_that_is_something_else_is_not_claimed)
{
    const char *call;
    struct address any = loopback;
    int fds[] = {connection(), net_open(SOCK_DGRAM, &loopback, NET_ONE_FAMILY, 10, &call),
                 open("/dev/null", O_RDONLY),
                 net_open(SOCK_STREAM, &loopback, NET_ONE_FAMILY, 10, &call)};

    lie_about(ARRAY_LENGTH(fds), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        lie_port("echo", PROTOCOL_TCP, true); // at port 0, where none is
    fly_lie(fds, ARRAY_LENGTH(fds));
    land();
    any.port = 0;
    assert_int_equal(handover_claim(&test.handover, duty("echo"), PROTOCOL_TCP, &any, false), -1);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        assert_int_equal(test.handover.ports[i].fd, -1);
        close(fds[i]);
    }
}

TEST(more_came_than_are_told_of)
{
    int fds[3];

    lie_about(1, 1);
    lie_port("echo", PROTOCOL_TCP, false);
    state_write_connection(&lie, &reading);
    for (int i = 0; i < 3; i++)
        fds[i] = connection();
    fly_lie(fds, 3);
    land();
    take_all();
    expect_taken(1, 2, 0);
    assert_int_equal(test.after.service.counters.connected_tcp, 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    expect_end();
}

TEST(fewer_came_than_are_told_of)
{
    int fds[2] = {connection(), open("/dev/null", O_RDONLY)}; // as what was reset is, no connection

    lie_about(1, 4);
    lie_port("echo", PROTOCOL_TCP, false);
    for (int i = 0; i < 4; i++)
        state_write_connection(&lie, &reading);
    fly_lie(fds, 2);
    land();
    take_all();
    expect_taken(1, 0, 3);
    assert_int_equal(test.after.service.counters.closed_tcp[CLOSED_RESET], 3);
    expect_sums();
    close(fds[0]);
    close(fds[1]);
}

TEST(who_was_no_client_is_lost_without_being_counted)
{
    struct state_connection lied = reading;

    lie_about(1, 2);
    told.counters.accepted_tcp = 0;
    lie_port("http", PROTOCOL_TCP, false);
    state_write_connection(&lie, &lied);
    lied.port = STATE_BUSY;
    state_write_connection(&lie, &lied);
    fly_lie(NULL, 0);
    land();
    take_all();
    expect_taken(0, 0, 2);
    assert_int_equal(test.after.service.counters.closed_tcp[CLOSED_RESET], 0);
}

TEST(a_port_that_nobody_told_of_ends_it)
{
    struct state_connection lied = reading;

    lied.port = 1;
    hand_over_lie("echo", &lied);
    expect_taken(0, 1, 0);
    expect_end();
}

TEST(a_record_that_is_cut_off_ends_all_from_there_on)
{
    int fds[2] = {connection(), -1};
    int first = test.client;

    test.client = -1;
    fds[1] = connection();
    lie_about(1, 2);
    lie_port("echo", PROTOCOL_TCP, false);
    state_write_connection(&lie, &reading);
    state_write_connection(&lie, &reading);
    lie.length--;
    fly_lie(fds, 2);
    close(fds[0]);
    close(fds[1]);
    land();
    take_all();
    expect_taken(1, 1, 0);
    assert_string_equal(test.problem, "it is cut off");
    expect_sums();
    expect_end();
    close(first);
}

TEST(without_memory_some_are_lost_and_others_go_on)
{
    enum { EACH = 4 };
    unsigned all_taken = 0;

    for (unsigned left = 0; left < 40 && all_taken == 0; left++) {
        int fds[EACH];

        lie_about(1, EACH);
        lie_port("echo+proxy", PROTOCOL_TCP, false);
        for (int i = 0; i < EACH; i++) {
            struct state_connection lied = reading;

            fds[i] = connection();
            lied.header = "PROXY TCP4 192.0.2.7 192.0.2.8 5000 6000\r\n";
            lied.header_length = (uint32_t)strlen(lied.header);
            lied.input = "half";
            lied.input_length = 4;
            state_write_connection(&lie, &lied);
        }
        fly_lie(fds, EACH);
        for (int i = 0; i < EACH; i++)
            close(fds[i]);
        land();
        memory_left = left;
        handover_take(&test.handover, &test.after.ports, false);
        memory_left = UINT32_MAX;
        assert_int_equal(test.taken + test.lost, EACH);
        assert_int_equal(test.lost, left < EACH * 2 ? 1 : 0); // a connection, what it holds
        expect_sums();
        all_taken = test.taken == EACH;
        unit_after_each();
        unit_before_each();
    }
    assert_true(all_taken);
}

TEST(nothing_is_given_without_memory_or_room)
{
    begin("echo");
    dial();
    assert_true(flight_open(&test.flight));
    close(test.flight.far);
    test.flight.far = -1;
    assert_false(handover_give(&test.before.ports, &test.flight, false));
    assert_int_equal(errno, EPIPE);
    say("a line\n"); // all is as it was
    for (int left = PATIENCE_MILLISECONDS; left > 0; left--) {
        char bytes[7];

        turn(&test.before);
        if (recv(test.client, bytes, sizeof bytes, 0) == sizeof bytes)
            return;
        poll(NULL, 0, 1);
    }
    fail();
}

// The state finds room, and the batch that follows does not.
static void leave_room_for_one(void)
{
    char byte;

    assert_true(flight_open(&test.flight));
    while (send(test.flight.near, "", 1, MSG_DONTWAIT) == 1)
        ;
    assert_int_equal(recv(test.flight.far, &byte, 1, 0), 1);
}

TEST(nothing_is_given_where_a_batch_finds_no_room)
{
    // With what the process is asked by it is full, with the last of the ports, and never.
    static const size_t ports[] = {FLIGHT_BATCH_MAX - 1, FLIGHT_BATCH_MAX, 1};
    struct process process = {.statm = STDIN_FILENO, .descriptors = STDIN_FILENO};

    for (size_t i = 0; i < ARRAY_LENGTH(ports); i++) {
        test.before.ports.pool.process = i == 0 ? &process : NULL;
        while (test.before.ports.count < ports[i])
            open_port(&test.before, "raw", PROTOCOL_TCP);
        leave_room_for_one();
        assert_false(handover_give(&test.before.ports, &test.flight, true));
        assert_int_equal(errno, EAGAIN);
        unit_after_each();
        unit_before_each();
    }
}

TEST(counters_and_guesses_go_on)
{
    struct counters *counters = &test.before.service.counters;

    begin("echo");
    test.unwritten = true;
    log_event(LOG_INFO, "what nobody reads");
    assert_true(log_suppressed() > 0);
    test.unwritten = false;
    counters->accepted_tcp = 5;
    counters->closed_tcp[CLOSED_IDLE] = 5;
    counters->udp_dropped[DROP_RATE] = 6;
    counters->log_suppressed = 8;
    test.before.ports.pool.logged = 9;
    test.before.loop.turns = 10;
    test.before.gate.wrong_count = 5;
    test.before.gate.wrong[4] = 39;
    test.before.service.peers.budget.now = (struct budget_kept){
        .second = 10, .won = 1, .given = BUDGET_IN_ALL + 1, .share = UINT32_MAX};
    fly(false);
    land();
    claim_all();
    end_before();
    take_all();
    counters = &test.after.service.counters;
    assert_int_equal(counters->accepted_tcp, 5);
    assert_int_equal(counters->closed_tcp[CLOSED_IDLE], 5);
    assert_int_equal(counters->udp_dropped[DROP_RATE], 6);
    struct facts facts = pool_facts(&test.after.ports.pool, PROTOCOL_TCP, loopback, loopback);
    assert_int_equal(facts.counters.log_suppressed, 8 + 2 * log_suppressed());
    assert_int_equal(test.after.ports.pool.logged, 9);
    assert_int_equal(facts.counters.wakeups, 10);
    assert_int_equal(test.after.gate.wrong_count, 5);
    assert_int_equal(test.after.gate.wrong[4], 39);
    const struct budget_kept *budget = &test.after.service.peers.budget.now;
    assert_int_equal(budget->given, BUDGET_IN_ALL);
    assert_int_equal(budget->share, BUDGET_PER_HOST * 65536);
    assert_int_equal(budget->second, 10);
}

TEST(connections_keep_their_numbers_in_the_log)
{
    log_set_level(LOG_DETAIL);
    begin("echo");
    dial();
    int first = test.client;
    dial();
    hand_over();
    assert_int_equal(test.after.ports.pool.logged, 2);
    assert_int_equal(conn_log_number(conn_in(&test.after, LIFE_READING)), 2);
    close(first);
}

TEST(who_was_not_numbered_before_is_now)
{
    begin("echo");
    dial();
    fly(false);
    land();
    end_before();
    log_set_level(LOG_DETAIL);
    take_all();
    assert_int_equal(conn_log_number(conn_in(&test.after, LIFE_READING)), 1);
    assert_int_equal(test.after.ports.pool.logged, 1);
}

static struct state_datagram datagram_to(const struct sockaddr_storage *to, socklen_t length,
                                         uint64_t due)
{
    return (struct state_datagram){.due = due,
                                   .to = (const char *)to,
                                   .to_length = length,
                                   .control = "",
                                   .bytes = "answer",
                                   .length = 6};
}

TEST(delayed_datagrams_go_out_when_they_are_due)
{
    open_port(&test.before, "faulty", PROTOCOL_UDP);
    assert_int_equal(ports_serve(&test.before.ports), 0);
    test.client = connected_to(&test.before.ports.port[0].local, SOCK_DGRAM);
    say("/delay 1000 later\n");
    turns_until(&test.before, test.before.ports.udp.delayed.delays.count == 1);
    uint64_t due = ports_next_at(&test.before.ports);
    hand_over();
    assert_true(ports_next_at(&test.after.ports) == due);
    test.tick += 4;
    turn(&test.after);
    ports_expire(&test.after.ports, loop_now(&test.after.loop));
    expect_heard("later\n");
    assert_int_equal(test.after.service.counters.udp_answered, 1);
}

TEST(datagrams_of_a_port_that_is_gone_are_dropped_and_take_no_place)
{
    struct sockaddr_storage to;
    socklen_t length = address_store(&(struct address){.ip = loopback.ip, .port = 9}, AF_INET, &to);
    struct state_datagram datagram = datagram_to(&to, length, UINT64_MAX);

    lie_about(1, 0);
    state_free(&lie);
    told.datagrams = 400;
    state_write_header(&lie, &told);
    lie_port("faulty", PROTOCOL_UDP, false);
    for (uint32_t i = 0; i < told.datagrams; i++) {
        datagram.port = i % 2 ? 0 : i; // or of none that is told of
        state_write_datagram(&lie, &datagram);
    }
    fly_lie(NULL, 0);
    land();
    open_port(&test.after, "faulty", PROTOCOL_UDP); // at another address
    take_all();
    assert_int_equal(test.after.ports.count, 1);
    assert_int_equal(test.after.ports.udp.delayed.delays.count, 0);
    assert_int_equal(test.after.service.counters.udp_dropped[DROP_SEND], 400);
}

TEST(a_datagram_waits_no_longer_than_any_may)
{
    struct sockaddr_storage to;
    socklen_t length = address_store(&(struct address){.ip = loopback.ip, .port = 9}, AF_INET, &to);
    struct state_datagram datagram = datagram_to(&to, length, UINT64_MAX - 1);
    struct state_port port = {.name = "faulty", .protocol = PROTOCOL_UDP};

    open_port(&test.after, "faulty", PROTOCOL_UDP);
    port.local = test.after.ports.port[0].local;
    told = (struct state_header){
        .version = STATE_VERSION, .start = test.after.loop.start, .ports = 1, .datagrams = 1};
    state_write_header(&lie, &told);
    state_write_port(&lie, &port);
    state_write_datagram(&lie, &datagram);
    fly_lie(NULL, 0);
    land();
    take_all();
    assert_int_equal(test.after.ports.udp.delayed.delays.count, 1);
    assert_true(ports_next_at(&test.after.ports) ==
                loop_nanoseconds(&test.after.loop) + UINT32_MAX * UINT64_C(1000000));
}

TEST(what_a_socket_has_lost_before_is_not_counted_twice)
{
    for (uint32_t before = 3; before <= 5; before++) { // the kernel says 4
        open_port(&test.before, "echo", PROTOCOL_UDP);
        test.before.ports.port[0].lost = before;
        fly(false);
        land();
        claim_all();
        test.after.ports.port[0].lost = 4;
        take_all();
        assert_int_equal(test.after.ports.port[0].lost, before < 4 ? before : 4);
        unit_after_each();
        unit_before_each();
    }
}

TEST(peers_go_on)
{
    bool first;

    begin("echo");
    for (uint16_t i = 1; i <= 3; i++) {
        struct address address = {.ip = loopback.ip, .port = (uint16_t)(2000 + i)};

        peers_heard(&test.before.service.peers, &address, i, &first);
    }
    hand_over();
    assert_int_equal(test.after.service.peers.known, 3);
    for (uint16_t i = 1; i <= 3; i++) {
        struct address address = {.ip = loopback.ip, .port = (uint16_t)(2000 + i)};

        peers_heard(&test.after.service.peers, &address, 41, &first);
        assert_false(first);
    }
}

TEST(edges_are_told_of_what_came_meanwhile)
{
    test.before.options.edge = test.after.options.edge = true;
    begin("echo");
    dial();
    say("half ");
    turns_until(&test.before, input_of(&test.before, LIFE_READING) == 5);
    say("a line\n");
    hand_over();
    expect_heard("half a line\n");
    say("another\n");
    expect_heard("another\n");
}

TEST(edges_are_told_of_room_to_send)
{
    test.before.options.edge = test.after.options.edge = true;
    begin("echo");
    dial();
    size_t sent = stuff("0123456789\n");
    assert_non_null(conn_in(&test.before, LIFE_WRITING));
    hand_over();
    expect_repeated("0123456789\n", sent - sent % 11);
}
