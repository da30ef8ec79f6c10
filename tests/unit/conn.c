// SPDX-License-Identifier: MIT
// A connection over a real socket, turn by turn. What the kernel says is its own word, unless a
// test has it say something else; the clock is the test's.
#include "unit.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/crowd.h"
#include "transport/exchange.h"
#include "transport/opening.h"
#include "transport/ports.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

#define UNKNOWN "ERR unknown-command\n"

enum { IDLE_SECONDS = 5, LINE_SECONDS = 2, NO_BOUND = 1 << 30 };

// Each error is that of the next such call, and of it alone.
static struct {
    int recv, peek, send, shutdown, control, option, name;
    unsigned memory_left, bound;    // allocations before one fails; what send(2) takes from now on
    uint32_t unsent;                // TCP_INFO's tcpi_notsent_bytes, which libc does not know
    uint32_t sent, acked, received; // milliseconds ago: TCP_INFO
    bool no_info;
    unsigned seconds, clock_reads, names, controls, trims;
    size_t size;     // of the last allocation
    uint32_t events; // that epoll was last asked for
} kernel;

static time_t epoch = 1000; // each test's own, for the log says only so much in a second

static int told(int *error)
{
    errno = *error;
    *error = 0;
    return errno;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    kernel.clock_reads += clock == CLOCK_MONOTONIC;
    *time = (struct timespec){.tv_sec = epoch + (time_t)kernel.seconds};
    return 0;
}

ssize_t __real_recv(int fd, void *bytes, size_t length, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t length, int flags)
{
    if (told(flags == MSG_PEEK ? &kernel.peek : &kernel.recv) != 0)
        return -1;
    assert_int_equal(length, flags == MSG_PEEK ? 1 : READ_MAX_BYTES);
    return __real_recv(fd, bytes, length, flags);
}

ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags)
{
    size_t some = size_min(length, kernel.bound);

    if (kernel.bound == 0)
        kernel.send = EAGAIN;
    if (told(&kernel.send) != 0)
        return -1;
    kernel.bound -= (unsigned)some;
    return __real_send(fd, bytes, some, flags);
}

int __real_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
    return told(&kernel.shutdown) ? -1 : __real_shutdown(fd, how);
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && told(&kernel.control) != 0)
        return -1;
    kernel.controls++;
    if (event)
        kernel.events = event->events;
    return __real_epoll_ctl(epoll, operation, fd, event);
}

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    return told(&kernel.option) ? -1 : __real_setsockopt(fd, level, name, value, length);
}

enum { NOT_SENT = 144 }; // where kernel.unsent stands

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int name, void *value, const socklen_t *length)
{
    struct tcp_info info = {.tcpi_last_data_sent = kernel.sent,
                            .tcpi_last_ack_recv = kernel.acked,
                            .tcpi_last_data_recv = kernel.received};

    assert_true(fd >= 0 && level == IPPROTO_TCP && name == TCP_INFO);
    memcpy(value, &info, size_min(*length, sizeof info));
    if (*length == NOT_SENT + sizeof kernel.unsent)
        memcpy((char *)value + NOT_SENT, &kernel.unsent, sizeof kernel.unsent);
    return kernel.no_info ? -1 : 0;
}

int __real_getpeername(int fd, struct sockaddr *name, socklen_t *length);
int __wrap_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    kernel.names++;
    return told(&kernel.name) ? -1 : __real_getpeername(fd, name, length);
}

int __wrap_malloc_trim(size_t kept)
{
    kernel.trims += kept == 0;
    return 1;
}

static bool refused(void)
{
    errno = ENOMEM;
    return kernel.memory_left-- == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    kernel.size = size;
    return refused() ? NULL : __real_malloc(size);
}

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    return refused() ? NULL : __real_realloc(block, size);
}

static struct {
    struct loop loop;
    struct options options;
    struct service service;
    struct gate gate;
    struct pool pool;
    struct port port;
    struct conn *conn; // the latest
    int client;
    char logged[256];            // the last event, but for the peer and the descriptor
    char peer[ADDRESS_TEXT_MAX]; // that event's
    bool crowd;                  // there is more than one connection
} test;

// What the role `test` says of each turn; and what of the last turn it was shown.
static struct {
    enum outcome outcome;
    size_t done, begun;
    const char *answer;
    size_t length;
    bool ended;
} said;

static enum outcome say(struct memory *memory, struct turn *turn)
{
    (void)memory;
    said.length = turn->length;
    said.ended = turn->ended;
    turn->done = size_min(said.done, turn->length);
    turn->begun = said.begun;
    turn->reply.bytes = said.answer;
    turn->reply.length = said.answer ? strlen(said.answer) : 0;
    said.answer = NULL;
    return said.outcome;
}

static bool pends(const char *fresh, size_t length, size_t pending, size_t max_line)
{
    return memcmp(fresh, "pends", length) == 0 && pending > 0 && max_line == test.options.max_line;
}

static const struct role role_test = {.name = "test", .admitted = true, .stream = say};
static const struct role role_pends = {
    .name = "pends", .admitted = true, .stream = say, .pends = pends};

static bool note(enum log_level level, const struct log_field *fields, size_t count,
                 uint64_t suppressed)
{
    struct text text = text_in(test.logged, sizeof test.logged);
    char room[LOG_VALUE_MAX];

    (void)level, (void)suppressed;
    for (size_t i = 0; i < count; i++) {
        const char *value = log_value(&fields[i], room);

        if (strcmp(fields[i].key, "peer") == 0)
            snprintf(test.peer, sizeof test.peer, "%s", value);
        else if (value && !strstr(" fd conn role received ", fields[i].key) &&
                 !(strcmp(fields[i].key, "sent") == 0 && strcmp(fields[0].text, "closed") == 0))
            text_format(&text, "%s%s", i ? " " : "", value);
    }
    text_end(&text);
    return true;
}

static void expire(struct loop *loop)
{
    (void)loop;
}

static void begin(unsigned idle_seconds)
{
    memset(&kernel, 0, sizeof kernel);
    memset(&test, 0, sizeof test);
    memset(&said, 0, sizeof said);
    kernel.memory_left = kernel.bound = NO_BOUND;
    epoch += 1000;
    log_set_level(LOG_DETAIL);
    log_set_sink(note);
    test.options = (struct options){.max_tcp = 10,
                                    .max_line = 200000,
                                    .idle_timeout = idle_seconds,
                                    .line_timeout = LINE_SECONDS};
    assert_int_equal(loop_init(&test.loop, expire), 0);
    test.service.gate = &test.gate;
    assert_true(peers_init(&test.service.peers, (uint64_t[2]){1, 2}));
    assert_true(pool_init(&test.pool, &test.loop, &test.options, &test.service));
    test.port = (struct port){.watch.fd = -1, .role = &role_echo, .pool = &test.pool};
}

BEFORE_EACH
{
    begin(IDLE_SECONDS);
}

static void end(void)
{
    crowd_close(&test.pool, "over");
    assert_int_equal(test.service.counters.connected_tcp + test.pool.busy, 0);
    pool_finish(&test.pool);
    peers_finish(&test.service.peers);
    loop_finish(&test.loop);
    if (test.client > 0)
        close(test.client);
    log_set_sink(NULL);
}

AFTER_EACH
{
    end();
}

static void begin_again(unsigned idle_seconds)
{
    end();
    begin(idle_seconds);
}

static struct conn *conn_of(struct list *link)
{
    return container_of(link, struct conn, idle.link);
}

// A client comes in by PORT.
static void come_by(struct port *port)
{
    const char *call;
    struct address any = address_of_v4((struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
    int listening = net_open(SOCK_STREAM, &any, NET_ONE_FAMILY, 1, &call);
    struct address address = net_local(listening);
    struct sockaddr_storage storage;
    socklen_t length = address_store(&address, AF_INET, &storage);

    struct pollfd polled = {listening, POLLIN, 0};
    int on = 1;

    test.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(test.client, (struct sockaddr *)&storage, length), 0);
    ioctl(test.client, FIONBIO, &on);
    assert_int_equal(poll(&polled, 1, 30000), 1);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    close(listening);
    struct address peer = net_local(test.client);
    test.pool.freed = false;
    exchange_open(port, fd, &peer);
    test.conn = conn_of(port->role->observer    ? test.pool.observing.list.previous
                        : !port->role->admitted ? test.pool.goodbye.list.previous
                        : port->proxy           ? test.pool.opening.list.previous
                                                : test.pool.idle.list.previous);
}

static void come(const struct role *role)
{
    test.port.role = role;
    come_by(&test.port);
}

static void turn(void)
{
    assert_int_equal(loop_turn(&test.loop, false), 0);
}

// What the client sends is there when this returns.
static void write_all(const char *bytes, size_t length)
{
    int before = 0, now = 0;

    ioctl(test.conn->watch.fd, FIONREAD, &before);
    assert_int_equal(write(test.client, bytes, length), length);
    while (now < before + (int)length)
        ioctl(test.conn->watch.fd, FIONREAD, &now);
}

// The client sends TEXT, and the connection has a turn.
static void says(const char *text)
{
    write_all(text, strlen(text));
    turn();
}

static void client_ends(void)
{
    struct pollfd polled = {test.conn->watch.fd, POLLRDHUP, 0};

    shutdown(test.client, SHUT_WR);
    assert_int_equal(poll(&polled, 1, 30000), 1);
}

static void hears(const char *expected)
{
    char bytes[8192];
    size_t length = 0;
    struct pollfd polled = {test.client, POLLIN, 0};

    while (length < strlen(expected) && poll(&polled, 1, 30000) == 1)
        length += (size_t)read(test.client, bytes + length, sizeof bytes - length);
    assert_bytes(bytes, length, expected);
}

static void pass(unsigned seconds)
{
    kernel.seconds += seconds;
    test.loop.now = 0;
}

static void put_list(struct text *text, const char *name, const struct list *list)
{
    for (const struct list *link = list->next; link != list; link = link->next)
        if (link == &test.conn->idle.link)
            text_format(text, ", %s %u", name, test.conn->idle.due - loop_now(&test.loop));
}

static ticks soonest(const struct conn *conn)
{
    const struct held *held = conn->held;
    ticks idle = conn_life(conn) == LIFE_WAITING ? TICKS_NEVER : conn->idle.due;
    ticks due = ticks_sooner(idle, pool_trim_due(conn->port->pool));

    return held && held->begun ? ticks_sooner(due, held->begun->line.due) : due;
}

// The connection's life, its list and the ticks to its deadline, what epoll has been asked for, and
// what it holds: room, first unsent byte - end of the output + input, and the line's deadline.
static void expect_state(const char *expected)
{
    static const char *const life[LIVES] = {"opening", "reading",  "writing",
                                            "waiting", "flushing", "goodbye"};
    char room[200];
    struct text text = text_in(room, sizeof room);
    const struct pool *pool = &test.pool;

    if (pool->freed) {
        text_format(&text, "%s", test.logged);
    } else {
        const struct held *held = test.conn->held;

        text_string(&text, life[conn_life(test.conn)]);
        put_list(&text, "opening", &pool->opening.list);
        put_list(&text, "idle", &pool->idle.list);
        put_list(&text, "owing", &pool->owing.list);
        put_list(&text, "goodbye", &pool->goodbye.list);
        put_list(&text, "undrained", &pool->undrained);
        text_format(&text, ", %s%s%s", kernel.events & EPOLLIN ? "in" : "",
                    kernel.events & EPOLLOUT ? "out" : "", kernel.events & EPOLLET ? " edge" : "");
        if (held)
            text_format(&text, ", %zu: %u-%u+%u", held_room(held), held->sent, held->output,
                        held->input);
        if (held && held->begun)
            text_format(&text, ", line %u", held->begun->line.due - loop_now(&test.loop));
        if (list_empty(&pool->undrained) && !test.crowd)
            assert_int_equal(crowd_next(pool), soonest(test.conn));
    }
    assert_string_equal(text_end(&text), expected);
}

TEST(a_line_is_answered_and_leaves_nothing)
{
    log_set_level(LOG_DEBUG);
    come(&role_echo);
    assert_string_equal(test.logged, "connected tcp");
    assert_true(*test.peer);
    expect_state("reading, idle 21, in");
    pass(1);
    says("hello\nyou\nx");
    assert_string_equal(test.logged, "turn tcp 11 1 10 10");
    assert_int_equal(test.loop.spent, 21);
    hears("hello\nyou\n");
    expect_state("reading, idle 21, in, 16: 0-0+1, line 9");
    says("\n");
    expect_state("reading, idle 21, in");
    assert_int_equal(kernel.controls, 2); // the timer's, and this connection's
    conn_close(test.conn, CLOSED_EOF, "why");
    expect_state("closed tcp why");
    assert_int_equal(test.pool.given_back, 64 + sizeof *test.conn);
}

// After a reset the kernel would name it to nobody any more.
TEST(the_log_names_who_came_without_asking)
{
    struct linger at_once = {.l_onoff = 1};
    char came[ADDRESS_TEXT_MAX];

    come(&role_echo);
    strcpy(came, test.peer);
    struct address client = net_local(test.client);
    assert_string_equal(came, ADDRESS_STRING(&client));
    *test.peer = '\0';
    setsockopt(test.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(test.client);
    test.client = 0;
    turn();
    expect_state("closed tcp Connection reset by peer");
    assert_string_equal(test.peer, came);
    assert_int_equal(kernel.names, 0);
}

TEST(a_line_is_timed_from_its_first_byte_on)
{
    come(&role_echo);
    says("hel");
    expect_state("reading, idle 21, in, 16: 0-0+3, line 9");
    pass(1);
    says("lo");
    expect_state("reading, idle 21, in, 16: 0-0+5, line 5");
    pass(1);
    says("\nab");
    hears("hello\n");
    expect_state("reading, idle 21, in, 16: 0-0+2, line 9"); // another line
    kernel.recv = EAGAIN;
    pass(1);
    exchange_turn(test.conn, EPOLLIN);
    expect_state("reading, idle 17, in, 16: 0-0+2, line 5");
    says("c\n");
    hears("abc\n");
    expect_state("reading, idle 21, in");
    assert_int_equal(test.pool.given_back, 64);
}

TEST(what_is_pending_takes_no_more_room_than_it_needs)
{
    static char many[READ_MAX_BYTES];

    memset(many, 'x', sizeof many);
    come(&role_echo);
    write_all(many, 65);
    turn();
    expect_state("reading, idle 21, in, 80: 0-0+65, line 9");
    write_all(many, 64);
    turn();
    expect_state("reading, idle 21, in, 144: 0-0+129, line 9");
    write_all(many, sizeof many);
    while (test.conn->held->input < 129 + sizeof many)
        turn();
    expect_state("reading, idle 21, in, 81872: 0-0+65665, line 9");
    assert_int_equal(test.pool.given_back, 0);
    says("\nx");
    expect_state("reading, idle 21, in, 16: 0-0+1, line 9");
    assert_int_equal(test.pool.given_back, 81920);
    assert_true(test.conn->watch.later);
}

TEST(what_is_unsent_waits_for_room_and_nothing_is_read)
{
    come(&role_echo);
    kernel.bound = 3;
    says("hello\nab");
    assert_int_equal(test.loop.spent, 8 + 3);
    expect_state("writing, owing 21, out, 16: 0-3+2");
    pass(1);
    says("c\n"); // no room yet
    expect_state("writing, owing 17, out, 16: 0-3+2");
    kernel.bound = 1;
    turn();
    expect_state("writing, owing 21, out, 16: 1-3+2");
    kernel.bound = NO_BOUND;
    turn();
    hears("hello\nabc\n");
    expect_state("reading, idle 21, in");
    assert_int_equal(test.pool.given_back, 64);
    kernel.bound = 0;
    says("x\n"); // as if there were no room at all
    expect_state("writing, owing 21, out, 16: 0-2+0");
    pass(1);
    kernel.bound = NO_BOUND;
    kernel.send = EINTR;
    turn();
    expect_state("writing, owing 17, out, 16: 0-2+0");
    turn();
    hears("x\n");
    expect_state("reading, idle 21, in");
}

TEST(a_line_that_begins_behind_unsent_output_is_timed_when_it_is_sent)
{
    come(&role_echo);
    kernel.bound = 0;
    says("\nb");
    expect_state("writing, owing 21, out, 16: 0-1+1");
    pass(1);
    kernel.bound = NO_BOUND;
    turn();
    expect_state("reading, idle 21, in, 16: 0-0+1, line 9");
}

static void repeat(char *room, const char *text, size_t times)
{
    for (*room = '\0'; times > 0; times--)
        room = stpcpy(room, text);
}

TEST(a_turn_that_is_used_up_gets_another_one)
{
    char all[8192];
    size_t longer = TURN_TEXTS_MAX * TURN_TEXT_COST_BYTES;

    come(&role_echo);
    repeat(all, "/a\n", TURN_TEXTS_MAX + 3);
    says(all);
    expect_state("writing, owing 21, out, 16: 0-0+9");
    assert_int_equal(test.loop.spent, strlen(all) + TURN_TEXTS_MAX * strlen(UNKNOWN) + longer);
    turn();
    repeat(all, UNKNOWN, TURN_TEXTS_MAX + 3);
    hears(all);
    expect_state("reading, idle 21, in");
}

// In the buffer behind the output that is unsent too.
TEST(a_turn_that_is_used_up_waits_for_room)
{
    come(&role_test);
    said.outcome = TURN_AGAIN;
    said.done = 1;
    said.answer = "answer";
    kernel.bound = 2;
    says("abcd");
    expect_state("writing, owing 21, out, 16: 0-4+3");
    kernel.bound = 4;
    said.outcome = TURN_MORE;
    said.begun = NOTHING_BEGUN;
    said.done = 3;
    turn();
    assert_int_equal(said.length, 3);
    assert_memory_equal(test.pool.input, "bcd", 3);
    expect_state("reading, idle 21, in");
}

TEST(nothing_is_timed_that_has_not_begun)
{
    come(&role_test);
    said.begun = NOTHING_BEGUN;
    said.done = 1;
    says("ab");
    expect_state("reading, idle 21, in, 16: 0-0+1");
    said.begun = 0;
    said.done = 0;
    says("c"); // a role that cannot say whether this ends anything is asked
    assert_int_equal(said.length, 2);
    expect_state("reading, idle 21, in, 16: 0-0+2, line 9");
    pass(1);
    said.begun = 1; // in a buffer of its own: another message
    says("d");
    expect_state("reading, idle 21, in, 16: 0-0+3, line 9");
    said.begun = NOTHING_BEGUN;
    says("e");
    expect_state("reading, idle 21, in, 16: 0-0+4");
}

// The role is not asked again for what ends nothing, but for all that stands behind output.
TEST(what_only_lengthens_what_is_pending_is_kept_at_once)
{
    come(&role_pends);
    says("pends");
    assert_int_equal(said.length, 5);
    says("pends");
    says("p");
    assert_int_equal(said.length, 5);
    expect_state("reading, idle 21, in, 16: 0-0+11, line 9");
    assert_memory_equal(test.conn->held->bytes, "pendspendsp", 11);
    kernel.bound = 0;
    said.answer = "answer";
    says("!");
    assert_int_equal(said.length, 12);
    expect_state("writing, owing 21, out, 32: 0-6+12");
    kernel.bound = NO_BOUND;
    says("pends");
    assert_int_equal(said.length, 17);
    expect_state("reading, idle 21, in, 32: 0-0+17, line 9");
    test.options.max_line = 19; // what goes beyond it the role has to look at
    says("pe");
    assert_int_equal(said.length, 17);
    expect_state("reading, idle 21, in, 32: 0-0+19, line 9");
    said.done = 20;
    says("p");
    assert_int_equal(said.length, 20);
    expect_state("reading, idle 21, in");
}

TEST(who_has_ended_is_answered_and_left)
{
    static const struct {
        uint32_t events;
        const char *state;
    } row[] = {
        {EPOLLIN, "flushing, owing 21, out"},
        {EPOLLOUT, "closed tcp end of input"},
        {EPOLLIN | EPOLLERR, "closed tcp end of input"},
        {EPOLLHUP, "closed tcp end of input"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        come(&role_echo);
        says("abc");
        kernel.unsent = i > 0;
        client_ends();
        pass(1);
        kernel.unsent = 1;
        turn();
        hears("abc");
        expect_state("flushing, owing 21, out");
        assert_int_equal(test.pool.given_back, 64);
        kernel.peek = i == 0 ? EIO : 0; // an error that is not asked for is not lost
        exchange_turn(test.conn, row[i].events);
        expect_state(row[i].state);
        assert_int_equal(kernel.peek, i == 0 ? EIO : 0);
        begin_again(IDLE_SECONDS);
    }
    come(&role_echo);
    client_ends();
    turn();
    expect_state("closed tcp end of input");
}

TEST(a_role_that_closes_says_goodbye)
{
    struct pollfd polled = {.events = POLLRDHUP};

    come(&role_test);
    said.outcome = TURN_CLOSE;
    said.answer = "bye";
    kernel.bound = 2;
    says("what is not looked at");
    expect_state("writing, owing 21, out, 16: 0-1+0");
    kernel.bound = 1;
    kernel.unsent = 1;
    turn();
    expect_state("flushing, owing 21, out");
    assert_int_equal(test.pool.given_back, 64);
    turn();
    hears("bye");
    polled.fd = test.client;
    assert_int_equal(poll(&polled, 1, 30000), 1); // FIN
    expect_state("goodbye, goodbye 9, in");
    pass(1);
    for (int i = 0; i < 4; i++) {
        kernel.recv = (int[]){0, 0, EAGAIN, EINTR}[i];
        says("more");
        expect_state("goodbye, goodbye 5, in");
    }
    client_ends();
    turn();
    turn();
    expect_state("closed tcp goodbye");
}

TEST(an_error_at_the_goodbye_is_its_end)
{
    come(&role_test);
    said.outcome = TURN_CLOSE;
    says("x");
    kernel.recv = ECONNRESET;
    says("y");
    expect_state("closed tcp goodbye");
}

TEST(what_fails_closes_its_connection)
{
    static const struct {
        int *error, number;
        const char *says, *logged;
        unsigned unsent;
        int memory;
        size_t bound;
    } row[] = {
        {&kernel.recv, ECONNRESET, "x", "Connection reset by peer", 0, -1, NO_BOUND},
        {&kernel.send, EPIPE, "x\n", "Broken pipe", 0, -1, NO_BOUND},
        {&kernel.control, ENOMEM, "x\n", "Cannot allocate memory", 0, -1, 0},
        {&kernel.shutdown, ENOTCONN, NULL, "Transport endpoint is not connected", 0, -1, NO_BOUND},
        {&kernel.option, EPERM, NULL, "Operation not permitted", 1, -1, NO_BOUND},
        {NULL, 0, "x", "no memory", 0, 0, NO_BOUND}, // for what is held
        {NULL, 0, "x", "no memory", 0, 1, NO_BOUND}, // for its time
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        char expected[100];

        come(row[i].says ? &role_echo : &role_test);
        said.outcome = TURN_CLOSE;
        if (row[i].error)
            *row[i].error = row[i].number;
        kernel.unsent = row[i].unsent;
        kernel.bound = (unsigned)row[i].bound;
        if (row[i].memory >= 0)
            kernel.memory_left = (unsigned)row[i].memory;
        says(row[i].says ? row[i].says : "x");
        snprintf(expected, sizeof expected, "closed tcp %s", row[i].logged);
        expect_state(expected);
        begin_again(IDLE_SECONDS);
    }
    come(&role_echo);
    kernel.bound = 0;
    says("x\n");
    kernel.bound = 1;
    kernel.send = EHOSTUNREACH; // where output was unsent
    turn();
    expect_state("closed tcp No route to host");
}

TEST(what_passes_costs_a_turn)
{
    come(&role_echo);
    for (int i = 0; i < 2; i++) {
        kernel.recv = i ? EINTR : EAGAIN;
        says("x");
        expect_state("reading, idle 21, in");
        turn();
        says("\n");
        hears("x\n");
    }
    says("x");
    kernel.memory_left = 0; // to lengthen what there is, none is needed
    says("y\n");
    hears("xy\n");
    expect_state("reading, idle 21, in");
}

TEST(what_cannot_be_taken_in_is_closed)
{
    for (int i = 0; i < 2; i++) {
        const char *call;
        struct address any = address_of_v4((struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
        int fd = net_open(SOCK_STREAM, &any, NET_ONE_FAMILY, 1, &call);

        kernel.memory_left = i ? NO_BOUND : 0;
        kernel.control = i ? ENOSPC : 0;
        exchange_open(&test.port, fd, &any);
        assert_string_equal(test.logged, i ? "connection refused tcp No space left on device"
                                           : "connection refused tcp Cannot allocate memory");
        assert_int_equal(close(fd), -1);
        assert_int_equal(test.service.counters.total_clients, 0);
    }
}

TEST(who_is_not_admitted_has_a_goodbyes_time_for_all_of_it)
{
    const struct counters *counters = &test.service.counters;

    kernel.bound = 3;
    log_set_level(LOG_DEBUG);
    come_by(&test.pool.busy_port);
    assert_string_equal(test.logged, "turn tcp 0 0 12 3");
    log_set_level(LOG_DETAIL);
    expect_state("writing, goodbye 9, out, 16: 0-9+0");
    assert_int_equal(counters->busy_tcp, 1);
    assert_int_equal(test.pool.busy, 1);
    assert_int_equal(counters->total_clients + counters->connected_tcp, 0);
    pass(1);
    kernel.bound = 2;
    turn();
    expect_state("writing, goodbye 5, out, 16: 2-9+0");
    kernel.bound = NO_BOUND;
    kernel.unsent = 1;
    turn();
    expect_state("flushing, goodbye 5, out");
    turn();
    expect_state("goodbye, goodbye 9, in");
    hears("Server Busy\n");
    test.crowd = true;
    come_by(&test.port);
    assert_string_equal(test.logged, "connected tcp");
    assert_int_equal(counters->total_clients, 1);
    assert_int_equal(counters->connected_tcp, 1);
    kernel.bound = 0;
    come_by(&test.pool.busy_port);
    assert_string_equal(test.logged, "busy tcp");
    expect_state("writing, goodbye 9, out, 16: 0-12+0");
}

// No clock is read for a byte, and the connection stays where it is in its list.
TEST(without_an_idle_timeout_no_byte_is_timed)
{
    begin_again(0);
    come(&role_echo);
    kernel.clock_reads = 0;
    says("x\n");
    says("y\n");
    assert_int_equal(kernel.clock_reads, 0);
}

// At the end, who has nothing more to say is told goodbye, and who has is heard.
TEST(the_end_waits_for_what_has_come)
{
    come(&role_echo);
    test.service.phase = PHASE_DRAIN;
    write_all("a\n", 2);
    kernel.peek = EINTR; // once more
    turn();
    hears("a\n");
    expect_state("goodbye, goodbye 9, in");
    begin_again(IDLE_SECONDS);
    come(&role_test);
    test.service.phase = PHASE_DRAIN;
    said.begun = NOTHING_BEGUN;
    kernel.recv = EINTR;
    says("a"); // which is still there
    expect_state("reading, idle 21, in");
    turn();
    expect_state("goodbye, goodbye 9, in");
    begin_again(IDLE_SECONDS);
    come(&role_echo);
    says("a");
    test.service.phase = PHASE_DRAIN;
    says("b"); // what is lengthened too
    expect_state("goodbye, goodbye 9, in");
    begin_again(IDLE_SECONDS);
    come(&role_echo);
    test.service.phase = PHASE_DRAIN;
    says("a");
    client_ends(); // FIN is not nothing: the last line is answered
    expect_state("goodbye, goodbye 9, in");
}

TEST(who_ends_it_is_counted)
{
    static const struct {
        bool drains, ends;
        enum closing closing;
    } row[] = {
        {false, true, CLOSED_EOF},
        {true, true, CLOSED_EOF},
        {true, false, CLOSED_DRAIN},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        const uint64_t *closed = test.service.counters.closed_tcp;

        come(&role_echo);
        test.service.phase = row[i].drains ? PHASE_DRAIN : PHASE_READY;
        if (row[i].ends)
            client_ends();
        else
            write_all("a\n", 2);
        turn();
        if (!row[i].ends) {
            client_ends(); // the server has before
            turn();
        }
        assert_true(test.pool.freed);
        assert_int_equal(closed[row[i].closing], 1);
        assert_int_equal(closed[CLOSED_EOF] + closed[CLOSED_DRAIN], 1);
        begin_again(IDLE_SECONDS);
    }
}

TEST(an_edge_is_asked_for_again_where_something_is_left)
{
    static char many[READ_MAX_BYTES];
    static const struct {
        int error;
        bool more;
    } row[] = {{EINTR, true}, {EAGAIN, false}};

    memset(many, '\n', sizeof many);
    test.options.edge = true;
    come(&role_echo);
    assert_int_equal(kernel.events, EPOLLIN | EPOLLET | EPOLLPRI | EPOLLRDHUP);
    kernel.controls = 0;
    says("a\n");
    assert_int_equal(kernel.controls, 0); // a short read has emptied the socket
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        kernel.controls = 0;
        kernel.recv = row[i].error;
        test.conn->watch.more = !row[i].more;
        exchange_turn(test.conn, EPOLLIN);
        assert_int_equal(kernel.controls, row[i].more);
    }
    for (int some = 0; some < 2; some++) {
        write_all(many, READ_MAX_BYTES / 2);
        write_all(many, some ? READ_MAX_BYTES / 2 - 1 : READ_MAX_BYTES / 2);
        kernel.controls = 0;
        test.conn->watch.more = false;
        exchange_turn(test.conn, EPOLLIN);
        assert_int_equal(kernel.controls, !some);
        while (read(test.client, many, sizeof many) > 0)
            continue;
        memset(many, '\n', sizeof many);
    }
    test.conn->watch.more = true; // urgent data, say: the event was not a plain one
    kernel.controls = 0;
    write_all("a\n", 2);
    exchange_turn(test.conn, EPOLLIN | EPOLLPRI);
    assert_int_equal(kernel.controls, 1);
    kernel.bound = 0;
    says("a\n");
    assert_int_equal(kernel.events, EPOLLOUT | EPOLLET);
}

TEST(facts_are_those_of_its_socket)
{
    come(&role_echo);
    struct address peer = net_local(test.client), local = net_peer(test.client);
    char expected[200];
    snprintf(expected, sizeof expected, "proto=tcp peer=%s local=%s\n", ADDRESS_STRING(&peer),
             ADDRESS_STRING(&local));
    says("/whoami\n");
    hears(expected);
    kernel.name = ENOTCONN;
    says("/whoami\n"); // from nobody, and not from a loopback address
    snprintf(expected, sizeof expected, "proto=tcp peer=[::]:0 local=%s\n", ADDRESS_STRING(&local));
    hears(expected);
}

TEST(statistics_are_those_of_the_moment)
{
    struct address peer = {.port = 40000};
    unsigned before = 0; // bytes of the first answer
    bool first;

    come(&role_echo);
    peers_heard(&test.service.peers, &peer, loop_now(&test.loop), &first);
    for (int active = 1; active >= 0; active--) {
        char expected[400];
        int length = snprintf(
            expected, sizeof expected,
            "total_clients=1 active_udp_peers=%d connected_tcp=1 busy_tcp=0 udp_answered=0 "
            "udp_dropped=0 proxy_refused=0 uptime_s=%u tcp_lines=%d tcp_bytes_in=%d "
            "tcp_bytes_out=%u version=" VERSION "\n",
            active, kernel.seconds, !active, active ? 7 : 14, before);

        says("/stats\n");
        hears(expected);
        before = (unsigned)length;
        pass(62); // nothing has expired meanwhile
    }
    assert_int_equal(test.service.counters.commands[0], 2);
}

// tcp(7): what is accepted inherits these from its listener.
TEST(a_connection_has_its_listeners_options)
{
    static const struct {
        int level, name, value;
    } row[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_OOBINLINE, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},    {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 12}, {IPPROTO_TCP, TCP_KEEPCNT, 5},
    };

    come(&role_echo);
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        int value = -1;
        socklen_t length = sizeof value;

        __real_getsockopt(test.conn->watch.fd, row[i].level, row[i].name, &value, &length);
        assert_int_equal(value, row[i].value);
    }
}

static void expire_now(void)
{
    crowd_expire(&test.pool, loop_now(&test.loop));
}

// tcp(7), TCP_INFO: what is sent again and again is no traffic, but what is acknowledged is.
TEST(who_is_silent_for_so_long_is_idle)
{
    enum { LONG = IDLE_SECONDS * 1000 - TICK_MILLISECONDS, SHORT = LONG - 1 };
    static const struct {
        uint32_t sent, acked, received;
        bool no_info;
        const char *state;
    } row[] = {
        {LONG, LONG, LONG, false, "closed tcp idle timeout"},
        {SHORT, LONG, LONG, false, "closed tcp idle timeout"},
        {LONG, SHORT, LONG, false, "closed tcp idle timeout"},
        {SHORT, SHORT, LONG, false, "reading, idle 21, in"},
        {LONG, LONG, SHORT, false, "reading, idle 21, in"},
        {0, 0, 0, true, "closed tcp idle timeout"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        come(&role_echo);
        kernel.sent = row[i].sent;
        kernel.acked = row[i].acked;
        kernel.received = row[i].received;
        kernel.no_info = row[i].no_info;
        pass(IDLE_SECONDS);
        expire_now();
        expect_state("reading, idle 1, in");
        pass(1);
        expire_now();
        expect_state(row[i].state);
        begin_again(IDLE_SECONDS);
    }
}

// Of 32 bits: beyond that the kernel's count begins anew, and says nothing any more.
TEST(silence_is_counted_for_49_days)
{
    enum { MOST = UINT32_MAX / 1000, YEAR = 31536000 };
    static const struct {
        unsigned idle;
        uint32_t silent;
        bool left;
    } row[] = {
        {MOST, UINT32_C(4294966749), true},
        {MOST, UINT32_C(4294966750), false},
        {MOST + 1, 0, false},
        {YEAR, UINT32_MAX, false},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(row[i].idle);
        come(&role_echo);
        kernel.sent = kernel.acked = kernel.received = row[i].silent;
        pass(row[i].idle);
        expire_now();
        assert_int_equal(test.service.counters.connected_tcp, 1);
        pass(1);
        expire_now();
        assert_int_equal(test.service.counters.connected_tcp, row[i].left);
    }
    begin_again(MOST + 1);
    come(&role_echo);
    kernel.bound = 0;
    says("x\n");
    pass(OWING_SECONDS + 1);
    expire_now();
    expect_state("writing, owing 241, out, 16: 0-2+0");
}

// Whether a client that is owed something is still there; with and without an idle timeout.
TEST(who_is_owed_something_is_asked_for_now_and_then)
{
    enum { VANISHED = VANISHED_SECONDS * 1000 };
    static const struct {
        unsigned idle;
        uint32_t acked, received;
        const char *state;
    } row[] = {
        {0, VANISHED, VANISHED, "closed tcp vanished"},
        {0, VANISHED - 1, VANISHED, "writing, owing 241, out, 16: 0-2+0"},
        {0, VANISHED, VANISHED - 1, "writing, owing 241, out, 16: 0-2+0"},
        {1000, VANISHED - 1, VANISHED - 1, "writing, owing 241, out, 16: 0-2+0"},
        {61, VANISHED - 1, VANISHED - 1, "closed tcp idle timeout"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(row[i].idle);
        come(&role_echo);
        kernel.bound = 0;
        says("x\n");
        kernel.acked = kernel.sent = row[i].acked;
        kernel.received = row[i].received;
        pass(OWING_SECONDS);
        expire_now();
        expect_state("writing, owing 1, out, 16: 0-2+0");
        pass(1);
        expire_now();
        expect_state(row[i].state);
    }
    begin_again(0);
    come(&role_echo);
    kernel.bound = 0;
    says("x\n");
    kernel.no_info = true;
    pass(OWING_SECONDS + 1);
    expire_now();
    expect_state("writing, owing 241, out, 16: 0-2+0");
}

TEST(who_is_owed_something_is_asked_for_as_often_as_idle_ones)
{
    static const unsigned row[][2] = {{0, 60}, {1, 1}, {59, 59}, {60, 60}, {61, 60}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        begin_again(row[i][0]);
        assert_int_equal(test.pool.owing.after, row[i][1] * TICKS_PER_SECOND);
        assert_int_equal(test.pool.busy_port.watch.fd, -1);
    }
}

// For the process itself may have slept.
TEST(who_has_sent_something_meanwhile_is_heard_first)
{
    kernel.sent = kernel.acked = kernel.received = UINT32_MAX;
    for (int heard = 0; heard < 2; heard++) {
        come(&role_echo);
        if (heard)
            write_all("x\n", 2);
        pass(IDLE_SECONDS + 1);
        expire_now();
        expect_state(heard ? "reading, idle 21, in" : "closed tcp idle timeout");
        begin_again(IDLE_SECONDS);
        kernel.sent = kernel.acked = kernel.received = UINT32_MAX;
        come(&role_echo);
        says("x");
        if (heard)
            write_all("\n", 1);
        pass(LINE_SECONDS + 1);
        expire_now();
        expect_state(heard ? "reading, idle 21, in" : "goodbye, goodbye 9, in");
        hears(heard ? "x\n" : "ERR line-timeout\n");
        begin_again(IDLE_SECONDS);
        come(&role_test);
        said.outcome = TURN_CLOSE;
        says("x");
        if (heard)
            client_ends();
        pass(GOODBYE_SECONDS + 1);
        expire_now();
        expect_state(heard ? "closed tcp goodbye" : "closed tcp goodbye timeout");
        begin_again(IDLE_SECONDS);
    }
}

TEST(who_is_late_is_told_when_there_is_room)
{
    come(&role_echo);
    says("x");
    pass(LINE_SECONDS + 1);
    kernel.bound = 5;
    expire_now();
    expect_state("writing, owing 21, out, 16: 0-12+0");
    kernel.bound = NO_BOUND;
    turn();
    hears("ERR line-timeout\n");
    expect_state("goodbye, goodbye 9, in");
}

// What it held becomes smaller while it is looked at.
TEST(who_is_late_with_a_long_line_is_told_when_there_is_room)
{
    char half[1001] = "";

    memset(half, 'x', sizeof half - 1);
    come(&role_echo);
    says(half);
    pass(LINE_SECONDS + 1);
    kernel.bound = 5;
    expire_now();
    kernel.bound = NO_BOUND;
    turn();
    hears("ERR line-timeout\n");
    assert_int_equal(test.conn->watch.note, CLOSED_LINE);
}

static const struct process process = {.statm = -1, .descriptors = -1, .max_descriptors = 47};

TEST(an_observer_is_told_of_the_process)
{
    char page[65536] = "";
    size_t length = 0;

    test.pool.process = &process;
    come(&role_http);
    says("GET /metrics HTTP/1.1\r\n\r\n");
    struct pollfd polled = {test.client, POLLIN, 0};
    while (!strstr(page, "\nprocess_max_fds 47\n")) {
        assert_int_equal(poll(&polled, 1, 30000), 1);
        ssize_t some = read(test.client, page + length, sizeof page - length - 1);
        assert_true(some > 0);
        length += (size_t)some;
    }
    // Who looks at a quiet server does not see its own looking.
    assert_int_equal(test.service.counters.received[PROTOCOL_TCP], 0);
    assert_int_equal(test.service.counters.sent[PROTOCOL_TCP], 0);
}

TEST(an_observer_that_is_late_is_told_so)
{
    come(&role_http);
    says("GET /livez");
    pass(OBSERVING_SECONDS + 1);
    expire_now();
    assert_int_equal(conn_life(test.conn), LIFE_GOODBYE);
    hears(role_http.late);
    assert_int_equal(test.pool.observers, 1);
    conn_close(test.conn, CLOSED_EOF, "why");
    assert_int_equal(test.pool.observers, 0);
}

TEST(an_observer_has_a_time_for_its_goodbye_too)
{
    come(&role_http);
    says("GET /livez");
    pass(OBSERVING_SECONDS + 1);
    expire_now();
    assert_int_equal(crowd_next(&test.pool), test.conn->idle.due);
    pass(OBSERVING_SECONDS + 1);
    expire_now();
    expect_state("closed tcp observer timeout");
    test.port.proxy = true;
    come(&role_http);
    pass(OBSERVING_SECONDS + 1);
    expire_now();
    expect_state("closed tcp proxy header");
}

TEST(an_observer_that_has_asked_in_the_last_moment_is_answered)
{
    static const char question[] = "GET /livez HTTP/1.1\r\n\r\n";

    for (int drain = 0; drain < 2; drain++) {
        char page[4096] = "";
        struct pollfd polled;

        test.pool.process = &process;
        come(&role_http);
        write_all(question, sizeof question - 1);
        if (drain) {
            test.service.phase = PHASE_DRAIN;
            crowd_drain(&test.pool);
            assert_false(crowd_drain_some(&test.pool));
        } else {
            pass(OBSERVING_SECONDS + 1);
            expire_now();
        }
        assert_int_equal(conn_life(test.conn), LIFE_GOODBYE);
        polled = (struct pollfd){test.client, POLLIN, 0};
        assert_int_equal(poll(&polled, 1, 30000), 1);
        assert_true(read(test.client, page, sizeof page - 1) > 0);
        assert_non_null(strstr(page, "HTTP/1.1 200 "));
        assert_null(strstr(page, " 408 "));
        begin_again(IDLE_SECONDS);
    }
}

TEST(of_one_observer_too_many_the_oldest_makes_room)
{
    test.pool.observers = OBSERVERS_MAX; // of which none can make any
    crowd_make_room(&test.pool);
    test.pool.observers = 0;
    for (unsigned i = 0; i <= OBSERVERS_MAX; i++) {
        test.pool.freed = false;
        crowd_make_room(&test.pool);
        assert_int_equal(test.pool.freed, i == OBSERVERS_MAX);
        come(&role_http);
        close(test.client);
        assert_int_equal(test.pool.observers, i == OBSERVERS_MAX ? i : i + 1);
    }
    test.client = 0;
}

TEST(who_has_no_words_for_the_late_says_goodbye_without)
{
    come(&role_test);
    said.outcome = TURN_MORE;
    says("x");
    pass(LINE_SECONDS + 1);
    expire_now();
    expect_state("goodbye, goodbye 9, in");
}

#define HEADER "PROXY TCP4 192.0.2.1 198.51.100.7 56324 12345\r\n"
#define WHOAMI "proto=tcp peer=192.0.2.1:56324 local=198.51.100.7:12345 via=127.0.0.1:"

static void come_proxied(const struct role *role)
{
    test.port.proxy = true;
    come(role);
    expect_state("opening, opening 21, in");
}

// However it is cut, and it has its five seconds in all.
TEST(a_header_comes_before_the_first_line)
{
    for (size_t cut = 0; cut <= strlen(HEADER); cut++) {
        char expected[200];

        come_proxied(&role_echo);
        write_all(HEADER, cut);
        turn();
        pass(1);
        turn();
        if (cut > 0 && cut < strlen(HEADER))
            assert_int_equal(conn_life(test.conn), LIFE_OPENING);
        write_all(&HEADER "/whoami\nabc"[cut], strlen(HEADER "/whoami\nabc") - cut);
        turn();
        snprintf(expected, sizeof expected, WHOAMI "%u\n", net_local(test.client).port);
        hears(expected);
        expect_state("reading, idle 21, in, 64: 0-0+3, line 9");
        begin_again(IDLE_SECONDS);
    }
}

TEST(a_header_is_remembered_between_lines)
{
    char expected[200];

    come_proxied(&role_echo);
    says(HEADER "x\n");
    hears("x\n");
    says("/whoami\n");
    snprintf(expected, sizeof expected, WHOAMI "%u\n", net_local(test.client).port);
    hears(expected);
    assert_int_equal(test.service.counters.proxy_refused, 0);
    client_ends();
    turn();
    expect_state("closed tcp end of input");
}

// Nothing has announced another peer; but on such a port nobody is this host's own.
TEST(without_an_announcement_the_addresses_are_the_real_ones)
{
    char expected[200];
    unsigned port;

    come_proxied(&role_echo);
    says("PROXY UNKNOWN\r\n/whoami\n/shutdown x\n");
    port = net_local(test.client).port;
    snprintf(expected, sizeof expected,
             "proto=tcp peer=127.0.0.1:%u local=127.0.0.1:%u "
             "via=127.0.0.1:%u\nERR shutdown-token-missing\n",
             port, net_local(test.conn->watch.fd).port, port);
    hears(expected);
    assert_null(test.conn->held);
    test.gate.token = (struct token){1, "x"};
    says("/shutdown x\n");
    hears("ERR shutdown-loopback-required\n");
}

TEST(who_has_no_right_header_is_closed_and_counted)
{
    static const struct {
        const char *bytes;
        bool ends, refused;
    } row[] = {
        {"hello\n", false, true},
        {"PROXY TCP4 192.0.2.01 198.51.100.7 56324 12345\r\n", false, true},
        {"PROXY", true, true},
        {"", true, false}, // a check of the proxy's
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        come_proxied(&role_echo);
        write_all(row[i].bytes, strlen(row[i].bytes));
        if (row[i].ends)
            client_ends();
        turn();
        if (!test.pool.freed)
            turn();
        expect_state(row[i].refused ? "closed tcp proxy header" : "closed tcp end of input");
        assert_int_equal(test.service.counters.proxy_refused, row[i].refused);
        begin_again(IDLE_SECONDS);
    }
}

TEST(a_refused_header_is_told_with_its_reason)
{
    log_set_level(LOG_INFO);
    come_proxied(&role_echo);
    says("hello\n");
    assert_string_equal(test.logged, "proxy header refused tcp [::]:0 it is missing");
}

TEST(a_header_that_its_stream_ends_with_is_right)
{
    come_proxied(&role_echo);
    assert_int_equal(opening_read(test.conn, HEADER, strlen(HEADER), true), strlen(HEADER));
    assert_int_equal(opening_read(test.conn, HEADER, strlen(HEADER) - 1, true), -1);
}

TEST(a_header_that_does_not_come_is_not_waited_for)
{
    come_proxied(&role_echo);
    pass(3);
    says("PROXY ");
    expect_state("opening, opening 9, in, 16: 0-0+6");
    pass(3);
    expire_now();
    expect_state("closed tcp proxy header");
    assert_int_equal(test.service.counters.proxy_refused, 1);
}

TEST(who_comes_too_late_with_a_header_is_heard_first)
{
    come_proxied(&role_echo);
    write_all(HEADER, strlen(HEADER));
    pass(OPENING_SECONDS + 1);
    expire_now();
    assert_int_equal(conn_life(test.conn), LIFE_READING);
}

TEST(a_header_without_memory_ends_its_connection)
{
    come_proxied(&role_raw);
    kernel.memory_left = 0;
    says(HEADER "x");
    expect_state("closed tcp proxy header");
}

TEST(the_end_comes_to_those_that_open_too)
{
    come_proxied(&role_echo);
    test.service.phase = PHASE_DRAIN;
    crowd_drain(&test.pool);
    expect_state("opening, undrained 21, in");
    crowd_drain_some(&test.pool);
    expect_state("goodbye, goodbye 9, in");
}

TEST(raw_sends_what_it_received_from_where_it_lies)
{
    come(&role_raw);
    kernel.bound = 4;
    says("/ab\nERR c");
    expect_state("writing, owing 21, out, 16: 0-5+0");
    kernel.bound = NO_BOUND;
    turn();
    expect_state("reading, idle 21, in");
    hears("/ab\nERR c");
    pass(LINE_SECONDS + 1);
    expire_now();
    expect_state("reading, idle 9, in"); // it waits for no end of a line
    client_ends();
    turn();
    expect_state("closed tcp end of input");
}

TEST(discard_copies_nothing_and_ends_with_its_client)
{
    char *input = test.pool.input;

    come(&role_discard);
    memset(input, '.', 8);
    says("abc\n");
    assert_memory_equal(input, "........", 8);
    expect_state("reading, idle 21, in");
    client_ends();
    turn();
    expect_state("closed tcp end of input");
    begin_again(IDLE_SECONDS);
    come_proxied(&role_discard);
    says(HEADER "abc"); // a header is looked at
    assert_int_equal(conn_life(test.conn), LIFE_READING);
    says("abc");
    assert_int_equal(conn_life(test.conn), LIFE_READING);
}

// Of many that are due or have a last turn, so many a turn.
static void wake(void)
{
    crowd_wake(&test.pool, loop_nanoseconds(&test.loop));
}

static bool waits(void)
{
    return conn_life(test.conn) == LIFE_WAITING && kernel.events == 0 &&
           test.pool.delays.count == 1;
}

TEST(who_waits_is_not_read_from_before_the_time_has_come)
{
    come(&role_faulty);
    says("/delay 2000 x\nab");
    assert_true(waits());
    assert_int_equal(delays_next(&test.pool.delays), loop_clock(&test.loop) + 2000000000);
    assert_null(test.conn->held->begun);
    says("c\n");
    pass(1);
    wake();
    assert_true(waits());
    pass(1);
    wake();
    assert_int_equal(test.pool.delays.count, 0);
    expect_state("writing, owing 21, out, 16: 0-0+16");
    turn();
    hears("x\n");
    expect_state("reading, idle 21, in, 16: 0-0+2, line 9");
    turn();
    hears("abc\n");
}

TEST(a_wait_begins_when_what_came_before_has_been_sent)
{
    come(&role_faulty);
    kernel.bound = 1;
    says("abc\n/delay 2000 x\n");
    expect_state("writing, owing 21, out, 32: 0-3+14");
    pass(5);
    kernel.bound = NO_BOUND;
    turn();
    assert_true(waits());
    assert_int_equal(delays_next(&test.pool.delays), loop_clock(&test.loop) + 2000000000);
}

TEST(nobody_waits_any_longer_once_the_end_has_begun)
{
    come(&role_faulty);
    kernel.bound = 1;
    says("abc\n/delay 3600000 x\n/drip 1000 yz\n");
    test.service.phase = PHASE_DRAIN;
    kernel.bound = NO_BOUND;
    for (int i = 0; i < 6; i++) {
        turn();
        wake();
    }
    hears("abc\nx\nyz\n");
    assert_int_equal(conn_life(test.conn), LIFE_GOODBYE);
}

TEST(who_resets_does_so_while_it_waits_too)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    come(&role_faulty);
    says("/delay 2000 x\n");
    setsockopt(test.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(test.client);
    test.client = -1;
    turn();
    expect_state("closed tcp reset");
    assert_int_equal(test.pool.delays.count, 0);
}

TEST(an_event_from_before_the_wait_ends_nothing)
{
    come(&role_faulty);
    says("/delay 2000 x\n");
    exchange_turn(test.conn, EPOLLIN);
    assert_true(waits());
    exchange_turn(test.conn, EPOLLHUP);
    expect_state("closed tcp reset");
    begin_again(IDLE_SECONDS);
    come(&role_faulty);
    says("/delay 2000 x\n");
    assert_true(waits());
    exchange_turn(test.conn, EPOLLERR);
    expect_state("closed tcp reset");
}

TEST(a_reset_comes_behind_what_is_owed)
{
    char byte;

    come(&role_faulty);
    kernel.bound = 1;
    says("ab\n/reset\nc\n");
    assert_int_equal(conn_life(test.conn), LIFE_WRITING);
    hears("a");
    kernel.bound = NO_BOUND;
    turn();
    expect_state("closed tcp reset on demand");
    assert_int_equal(test.service.counters.closed_tcp[CLOSED_RESET], 1);
    while (read(test.client, &byte, 1) > 0)
        ;
    assert_int_equal(errno, ECONNRESET);
}

TEST(those_who_wait_go_on_in_parts)
{
    for (int i = 0; i < CROWD_PER_TURN_MAX + 1; i++) {
        come(&role_faulty);
        says("/delay 1 x\n");
        close(test.client);
    }
    test.client = 0;
    assert_int_equal(test.pool.delays.count, CROWD_PER_TURN_MAX + 1);
    pass(1);
    wake();
    assert_int_equal(test.pool.delays.count, 1);
    wake();
    assert_int_equal(test.pool.delays.count, 0);
}

TEST(at_the_graceful_end_who_waits_goes_on_at_once)
{
    come(&role_faulty);
    says("/delay 3600000 x\n");
    assert_true(waits());
    test.service.phase = PHASE_DRAIN;
    crowd_drain(&test.pool);
    assert_int_equal(test.pool.delays.count, 0);
    assert_false(crowd_drain_some(&test.pool));
    hears("x\n"); // without another look at what is ready: there may be no time left
}

TEST(who_waits_and_cannot_go_on_is_closed)
{
    come(&role_faulty);
    says("/delay 3600000 x\n");
    assert_true(waits());
    test.service.phase = PHASE_DRAIN;
    kernel.control = ENOMEM;
    crowd_drain(&test.pool);
    expect_state("closed tcp Cannot allocate memory");
    assert_true(list_empty(&test.pool.undrained));
}

TEST(who_waits_is_closed_with_all_others)
{
    come(&role_faulty);
    says("/delay 3600000 x\n");
    assert_true(waits());
    crowd_close(&test.pool, "why");
    expect_state("closed tcp why");
    assert_int_equal(test.pool.delays.count, 0);
}

TEST(without_memory_nobody_waits)
{
    come(&role_faulty);
    kernel.memory_left = 1; // for what is held
    says("/delay 2000 x\n");
    expect_state("closed tcp Cannot allocate memory");
}

TEST(a_crowd_is_looked_at_in_parts)
{
    const uint32_t *left = &test.service.counters.connected_tcp;

    for (int drain = 0; drain < 2; drain++) {
        for (int i = 0; i < CROWD_PER_TURN_MAX + 1; i++) {
            come(&role_echo);
            client_ends();
            close(test.client);
        }
        test.client = 0;
        pass(IDLE_SECONDS + 1);
        kernel.sent = kernel.acked = kernel.received = UINT32_MAX;
        if (!drain) {
            expire_now();
            assert_int_equal(*left, 1);
            expire_now();
            assert_int_equal(*left, 0);
            continue;
        }
        crowd_drain(&test.pool);
        assert_true(crowd_drain_some(&test.pool));
        assert_int_equal(*left, 1);
        assert_false(crowd_drain_some(&test.pool));
        assert_int_equal(*left, 0);
    }
}

TEST(who_is_still_heard_at_the_end_is_timed_again)
{
    come(&role_echo);
    test.service.phase = PHASE_DRAIN;
    pass(1);
    crowd_drain(&test.pool);
    expect_state("reading, undrained 17, in");
    write_all("a", 1);
    kernel.recv = EINTR;
    assert_false(crowd_drain_some(&test.pool));
    expect_state("reading, idle 21, in");
    crowd_drain(&test.pool); // and crowd_close finds it
}

TEST(what_was_freed_is_given_back_a_second_later)
{
    struct pool *pool = &test.pool;

    pass(100);
    pool->trimmed = loop_now(&test.loop);
    pool->given_back = GIVE_BACK_BYTES - 1;
    assert_int_equal(crowd_next(pool), TICKS_NEVER);
    pool->given_back = GIVE_BACK_BYTES;
    assert_int_equal(crowd_next(pool), pool->trimmed + GIVE_BACK_SECONDS * TICKS_PER_SECOND);
    for (ticks later = 1; later <= 4; later++) {
        assert_int_equal(kernel.trims, 0);
        crowd_expire(pool, loop_now(&test.loop) + later);
    }
    assert_int_equal(kernel.trims, 1);
    assert_int_equal(pool->given_back, 0);
    assert_int_equal(pool->trimmed, loop_now(&test.loop) + 4);
}

TEST(without_memory_no_pool_begins)
{
    struct pool pool;

    for (unsigned left = 0; left <= 2; left++) {
        kernel.memory_left = left;
        assert_int_equal(pool_init(&pool, &test.loop, &test.options, &test.service), left == 2);
        assert_int_equal(kernel.size, READ_MAX_BYTES + test.options.max_line +
                                          TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES);
        kernel.memory_left = NO_BOUND;
        pool_finish(&pool);
    }
}

// held: what it keeps fits, and is less than half of the room only where that is the least.
TEST(room_follows_what_is_held)
{
    size_t given_back = 0;
    static const size_t row[][3] = {// room before, bytes, room
                                    {0, 0, 16},      {0, 16, 16},     {0, 17, 32},
                                    {16, 16, 16},    {16, 17, 32},    {80, 1, 80},
                                    {112, 1, 16},    {208, 1, 16},    {208, 208, 208},
                                    {464, 177, 464}, {464, 176, 176}, {464, 465, 592}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct held *held = NULL;

        if (row[i][0] > 0)
            assert_true(held_reserve(&held, &given_back, row[i][0]));
        if (row[i][0] == row[i][2])
            kernel.memory_left = 0; // none is needed
        assert_true(held_reserve(&held, &given_back, row[i][1]));
        kernel.memory_left = NO_BOUND;
        assert_int_equal(held_room(held), row[i][2]);
        held_drop(&held, &given_back);
        assert_null(held);
    }
}

// As README.md, ARCHITECTURE.md and SECURITY.md tell them.
TEST(bounds_are_what_is_told)
{
    static const int row[][2] = {
        {READ_MAX_BYTES, 65536},     {BUSY_MAX, 256},
        {GOODBYE_SECONDS, 2},        {OWING_SECONDS, 60},
        {VANISHED_SECONDS, 180},     {GIVE_BACK_BYTES, 65536},
        {GIVE_BACK_SECONDS, 1},      {CROWD_PER_TURN_MAX, 64},
        {ACCEPTS_PER_TURN_MAX, 64},  {PORTS_MAX, 256},
        {UDP_BATCH_MAX, 64},         {TURN_TEXTS_MAX, 256},
        {TURN_TEXT_MAX_BYTES, 1024}, {OPENING_SECONDS, 5},
        {KEPT_MAX_BYTES, 8192},      {OBSERVERS_MAX, 16},
        {OBSERVING_SECONDS, 5},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        assert_int_equal(row[i][0], row[i][1]);
}

TEST(what_a_role_remembers_is_held_until_it_closes)
{
    size_t given_back = 0;
    struct held *held = NULL;
    struct memory memory = {.overlong_before = true};
    struct turn turn = {.input = "abc", .length = 3, .done = 3};

    assert_true(held_keep(&held, &given_back, memory, &turn, TURN_MORE));
    assert_true(held->memory.overlong_before);
    assert_int_equal(held->input + held->output, 0);
    assert_true(held_keep(&held, &given_back, memory, &turn, TURN_CLOSE));
    assert_null(held);
    turn.done = 0;
    for (enum outcome end = TURN_CLOSE; end <= TURN_RESET; end++) { // nothing of the input is
        assert_true(held_keep(&held, &given_back, memory, &turn, end));
        assert_null(held);
    }
}

TEST(what_finds_no_memory_is_not_appended)
{
    size_t given_back = 0;
    struct held *held = NULL;

    assert_true(held_reserve(&held, &given_back, 0));
    assert_true(held_append(&held, &given_back, "some", 4));
    kernel.memory_left = 0;
    assert_false(held_append(&held, &given_back, "all that does not fit", 21));
    assert_int_equal(held->input, 4);
    assert_true(held_append(&held, &given_back, " more", 5));
    assert_memory_equal(held->bytes, "some more", 9);
    kernel.memory_left = NO_BOUND;
    held_drop(&held, &given_back);
}

TEST(a_header_is_kept_in_place_of_what_was_pending)
{
    size_t given_back = 0;
    struct held *held = NULL;

    assert_true(held_reserve(&held, &given_back, 0));
    assert_true(held_append(&held, &given_back, "hea", 3));
    assert_true(held_keep_header(&held, &given_back, "header", 6));
    assert_int_equal(held->header, 6);
    assert_int_equal(held->input + held->output, 0);
    assert_memory_equal(held->bytes, "header", 6);
    held_drop(&held, &given_back);
}

TEST(a_header_alone_takes_no_more_room_than_it_needs)
{
    size_t given_back = 0;
    struct held *held = NULL;
    struct memory nothing = {.discarding = false};
    struct turn turn = {.input = "twenty bytes or more of a line", .length = 30};

    assert_true(held_keep_header(&held, &given_back, "header", 6));
    size_t room = held_room(held);
    assert_true(held_keep(&held, &given_back, nothing, &turn, TURN_MORE));
    assert_true(held_room(held) > room);
    turn.done = turn.length;
    assert_true(held_keep(&held, &given_back, nothing, &turn, TURN_MORE));
    assert_int_equal(held_room(held), room);
    assert_memory_equal(held->bytes, "header", 6);
    held_drop(&held, &given_back);
}

TEST(what_is_held_goes_on_as_it_was_told_or_not_at_all)
{
    static const struct state_connection was = {.header = "header",
                                                .header_length = 6,
                                                .outcome = TURN_WAIT,
                                                .wait_ms = 7,
                                                .output = "o",
                                                .output_length = 1,
                                                .input = "more than fits",
                                                .input_length = 14};
    size_t given_back = 0;

    for (unsigned left = 0; left <= 2; left++) { // itself with its header, and then with all of it
        struct held *held = NULL;

        kernel.memory_left = left;
        assert_int_equal(held_resume(&held, &was), left == 2);
        kernel.memory_left = NO_BOUND;
        if (left == 2) {
            assert_int_equal(held->header, 6);
            assert_int_equal(held->outcome, TURN_WAIT);
            assert_int_equal(held->wait_ms, 7);
            assert_int_equal(held->output, 1);
            assert_int_equal(held->input, 14);
            assert_memory_equal(held->bytes, "headeromore than fits", 21);
        }
        held_drop(&held, &given_back);
    }
}
