// SPDX-License-Identifier: MIT
// Linked with --wrap=realloc.
#include "unit.h"

#include "core/state.h"

enum { PREFIX = 4, HEADER_AT = 16 }; // bytes: a record's length, and the magic before the first one

static unsigned fails_at; // which of the next allocations; 0: none

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    return fails_at > 0 && --fails_at == 0 ? NULL : __real_realloc(block, size);
}

static struct state_writer writer;

AFTER_EACH
{
    state_free(&writer);
    fails_at = 0;
}

static struct state_reader reader_of(const char *bytes, size_t length)
{
    return (struct state_reader){.at = bytes, .left = length};
}

static struct state_reader written(void)
{
    assert_false(writer.failed);
    return reader_of(writer.bytes, writer.length);
}

static struct address address_in(uint8_t seed)
{
    struct address address = {.scope = 0x01020304 + seed, .port = (uint16_t)(40000 + seed)};

    for (int i = 0; i < 16; i++)
        address.ip.s6_addr[i] = (uint8_t)(seed + i);
    return address;
}

static void assert_address(const struct address *a, const struct address *b)
{
    assert_true(address_same(a, b));
}

// No number is the same as another, nor 0.
static struct state_header header_like(uint32_t connections)
{
    struct state_header header = {.version = STATE_VERSION,
                                  .start = UINT64_C(0x0102030405060708),
                                  .ports = 2,
                                  .peers = 2,
                                  .datagrams = 1,
                                  .connections = connections,
                                  .logged = UINT64_C(1) << 40,
                                  .process = 2};
    struct counters *counters = &header.counters;
    uint64_t next = UINT64_C(1) << 33;
    uint64_t *single[] = {&counters->total_clients, &counters->accepted_tcp, &counters->busy_tcp,
                          &counters->proxy_refused, &counters->udp_answered, &counters->wakeups,
                          &counters->log_suppressed};
    struct {
        uint64_t *at;
        size_t count;
    } many[] = {{counters->closed_tcp, CLOSINGS}, {counters->messages, PROTOCOLS},
                {counters->received, PROTOCOLS},  {counters->sent, PROTOCOLS},
                {counters->udp_dropped, DROPS},   {counters->commands, COUNTED_COMMANDS_MAX}};

    for (size_t i = 0; i < ARRAY_LENGTH(single); i++)
        *single[i] = next++;
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
        for (size_t j = 0; j < many[i].count; j++)
            many[i].at[j] = next++;
    header.wrong_count = 7;
    for (ticks i = 0; i < GUESSES_MAX; i++)
        header.wrong[i] = 100 + i;
    header.budget = (struct budget_kept){.second = 201, .won = 202, .given = 203, .share = 204};
    return header;
}

static const struct peer_kept one_peer = {
    .heard = 1, .second = 2, .digest = 3, .weight = 4, .longer = 5, .rounds = 6};

static struct state_port port_like(const char *name, enum protocol protocol)
{
    struct state_port port = {.protocol = protocol,
                              .local = address_in(7),
                              .open = protocol == PROTOCOL_TCP,
                              .own = protocol == PROTOCOL_UDP,
                              .lost = 77};

    memcpy(port.name, name, strlen(name));
    return port;
}

static struct state_datagram datagram_like(void)
{
    return (struct state_datagram){.port = 1,
                                   .due = UINT64_C(0x1122334455667788),
                                   .to = "somewhere",
                                   .to_length = 9,
                                   .control = "with",
                                   .control_length = 4,
                                   .bytes = "some bytes",
                                   .length = 10};
}

static struct state_connection connection_like(void)
{
    return (struct state_connection){
        .port = 1,
        .life = LIFE_WRITING,
        .closing = CLOSED_LONG,
        .outcome = TURN_WAIT,
        .memory = {.discarding = true, .waited = true, .dripped = 0x01020304, .left = 0x05060708},
        .wait_ms = 90,
        .due = UINT64_C(1) << 50,
        .idle_due = 0x11121314,
        .line_due = 0x21222324,
        .number = UINT64_C(0x3132333435363738),
        .header = "a header",
        .header_length = 8,
        .output = "unsent",
        .output_length = 6,
        .input = "not done yet",
        .input_length = 12};
}

// All of it, as a process would leave it.
static void write_all(void)
{
    struct state_header header = header_like(2);
    struct state_port port[] = {port_like("echo", PROTOCOL_TCP), port_like("raw", PROTOCOL_UDP)};
    struct state_datagram datagram = datagram_like();
    struct state_connection connection = connection_like();
    struct peer_kept peer = one_peer;

    state_write_header(&writer, &header);
    state_write_port(&writer, &port[0]);
    state_write_port(&writer, &port[1]);
    for (uint8_t i = 0; i < 2; i++) {
        peer.address = address_in(i);
        state_write_peer(&writer, &peer);
    }
    state_write_datagram(&writer, &datagram);
    state_write_connection(&writer, &connection);
    connection.life = LIFE_READING;
    connection.outcome = TURN_MORE;
    connection.output_length = 0;
    state_write_connection(&writer, &connection);
}

static void expect_within(const struct state_reader *all, const char *bytes, size_t length)
{
    assert_non_null(bytes);
    assert_true(length == 0 || (bytes >= all->at && bytes + length <= all->at + all->left));
}

static bool read_connections(const struct state_reader *all, struct state_reader *reader,
                             uint32_t count, unsigned *records)
{
    struct state_connection connection;

    for (uint32_t i = 0; i < count; i++, ++*records) {
        if (!state_read_connection(reader, &connection))
            return false;
        assert_in_range(connection.life, LIFE_OPENING, LIFE_GOODBYE);
        assert_in_range(connection.closing, 0, CLOSINGS);
        assert_true(connection.outcome < TURN_SILENT && connection.outcome != TURN_FACTS);
        expect_within(all, connection.header, connection.header_length);
        expect_within(all, connection.output, connection.output_length);
        expect_within(all, connection.input, connection.input_length);
    }
    return true;
}

// Reads all of it as whoever takes it over does: how many records could be read.
static unsigned read_all(const char *bytes, size_t length)
{
    struct state_reader reader = reader_of(bytes, length), all = reader;
    struct state_header header;
    struct state_port port;
    struct peer_kept peer;
    struct state_datagram datagram;
    unsigned records = 0;

    if (!state_read_header(&reader, &header))
        return 0;
    records++;
    for (uint32_t i = 0; i < header.ports; i++, records++) {
        if (!state_read_port(&reader, &port))
            return records;
        assert_non_null(memchr(port.name, '\0', sizeof port.name));
        assert_true(port.protocol < PROTOCOLS);
    }
    for (uint32_t i = 0; i < header.peers; i++, records++)
        if (!state_read_peer(&reader, &peer))
            return records;
    for (uint32_t i = 0; i < header.datagrams; i++, records++) {
        if (!state_read_datagram(&reader, &datagram))
            return records;
        expect_within(&all, datagram.to, datagram.to_length);
        expect_within(&all, datagram.control, datagram.control_length);
        expect_within(&all, datagram.bytes, datagram.length);
        assert_true(datagram.to_length <= sizeof(struct sockaddr_storage));
    }
    if (read_connections(&all, &reader, header.connections, &records))
        assert_null(reader.problem);
    else
        assert_non_null(reader.problem);
    return records;
}

// In a block of memory that ends with them, so that a sanitizer sees what is beyond.
static unsigned read_copy(const char *bytes, size_t length)
{
    char *block = malloc(length + 1);

    assert_non_null(block);
    memcpy(block + 1, bytes, length);
    unsigned records = read_all(block + 1, length);
    free(block);
    return records;
}

TEST(a_header_reads_back)
{
    struct state_header header = header_like(4), read = {.start = 0};

    state_write_header(&writer, &header);
    struct state_reader reader = written();
    assert_memory_equal(writer.bytes, "epoll-echo state", HEADER_AT);
    assert_true(state_read_header(&reader, &read));
    assert_int_equal(reader.left, 0);
    assert_int_equal(read.version, header.version);
    assert_int_equal(read.ports, header.ports);
    assert_int_equal(read.peers, header.peers);
    assert_int_equal(read.datagrams, header.datagrams);
    assert_int_equal(read.connections, header.connections);
    assert_int_equal(read.process, header.process);
    assert_true(read.start == header.start && read.logged == header.logged);
    assert_memory_equal(&read.counters, &header.counters, sizeof read.counters);
    assert_int_equal(read.wrong_count, 7);
    assert_memory_equal(read.wrong, header.wrong, sizeof read.wrong);
    assert_memory_equal(&read.budget, &header.budget, sizeof read.budget);
}

TEST(a_port_reads_back)
{
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        struct state_port port = port_like("echo+proxy", (enum protocol)protocol), read;

        memset(&read, 0xff, sizeof read);
        state_write_port(&writer, &port);
        struct state_reader reader = written();
        assert_true(state_read_port(&reader, &read));
        assert_string_equal(read.name, "echo+proxy");
        assert_int_equal(read.protocol, protocol);
        assert_int_equal(read.open, port.open);
        assert_int_equal(read.own, port.own);
        assert_int_equal(read.lost, 77);
        assert_address(&read.local, &port.local);
        state_free(&writer);
    }
}

TEST(a_name_without_an_end_is_refused)
{
    struct state_port port = port_like("a-name-of-thirty-one-bytes-here", PROTOCOL_TCP), read;

    state_write_port(&writer, &port);
    struct state_reader reader = written();
    assert_true(state_read_port(&reader, &read));
    writer.bytes[PREFIX + STATE_NAME_MAX_BYTES - 1] = 'x';
    reader = written();
    assert_false(state_read_port(&reader, &read));
    assert_string_equal(reader.problem, "a name has no end");
    assert_int_equal(reader.left, 0);
}

TEST(a_peer_reads_back)
{
    struct peer_kept peer = one_peer, read;

    peer.address = address_in(9);
    state_write_peer(&writer, &peer);
    struct state_reader reader = written();
    assert_true(state_read_peer(&reader, &read));
    assert_address(&read.address, &peer.address);
    assert_int_equal(read.heard, 1);
    assert_int_equal(read.second, 2);
    assert_int_equal(read.digest, 3);
    assert_int_equal(read.weight, 4);
    assert_int_equal(read.longer, 5);
    assert_int_equal(read.rounds, 6);
}

TEST(a_datagram_reads_back)
{
    struct state_datagram datagram = datagram_like(), read;

    state_write_datagram(&writer, &datagram);
    struct state_reader reader = written();
    assert_true(state_read_datagram(&reader, &read));
    assert_int_equal(read.port, 1);
    assert_true(read.due == datagram.due);
    assert_bytes(read.to, read.to_length, "somewhere");
    assert_bytes(read.control, read.control_length, "with");
    assert_bytes(read.bytes, read.length, "some bytes");
}

TEST(a_datagram_has_its_bounds)
{
    static const char bytes[UINT16_MAX + 1];
    static const struct {
        uint32_t to, control, length;
        bool right;
    } row[] = {
        {sizeof(struct sockaddr_storage), STATE_CONTROL_MAX_BYTES, UINT16_MAX, true},
        {sizeof(struct sockaddr_storage) + 1, 0, 0, false},
        {0, STATE_CONTROL_MAX_BYTES + 1, 0, false},
        {0, 0, UINT16_MAX + 1, false},
        {0, 0, 0, true},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct state_datagram datagram = {.to = bytes,
                                          .to_length = row[i].to,
                                          .control = bytes,
                                          .control_length = row[i].control,
                                          .bytes = bytes,
                                          .length = row[i].length};
        struct state_datagram read;

        state_write_datagram(&writer, &datagram);
        struct state_reader reader = written();
        assert_int_equal(state_read_datagram(&reader, &read), row[i].right);
        assert_true(row[i].right || strcmp(reader.problem, "a datagram is too long") == 0);
        state_free(&writer);
    }
}

TEST(a_connection_reads_back)
{
    static const struct memory memory[] = {
        {.discarding = true}, {.overlong_before = true}, {.waited = true}, {.paused = true}};
    struct state_connection connection = connection_like(), read;

    for (size_t i = 0; i < ARRAY_LENGTH(memory); i++) {
        connection.memory = memory[i];
        connection.memory.dripped = 0x01020304;
        connection.memory.left = 0x05060708;
        state_write_connection(&writer, &connection);
        struct state_reader reader = written();
        assert_true(state_read_connection(&reader, &read));
        assert_int_equal(read.memory.discarding, memory[i].discarding);
        assert_int_equal(read.memory.overlong_before, memory[i].overlong_before);
        assert_int_equal(read.memory.waited, memory[i].waited);
        assert_int_equal(read.memory.paused, memory[i].paused);
        assert_int_equal(read.memory.dripped, 0x01020304);
        assert_int_equal(read.memory.left, 0x05060708);
        state_free(&writer);
    }
    state_write_connection(&writer, &connection);
    struct state_reader reader = written();
    assert_true(state_read_connection(&reader, &read));
    assert_int_equal(read.port, 1);
    assert_int_equal(read.life, LIFE_WRITING);
    assert_int_equal(read.closing, CLOSED_LONG);
    assert_int_equal(read.outcome, TURN_WAIT);
    assert_int_equal(read.wait_ms, 90);
    assert_true(read.due == connection.due && read.number == connection.number);
    assert_int_equal(read.idle_due, 0x11121314);
    assert_int_equal(read.line_due, 0x21222324);
    assert_bytes(read.header, read.header_length, "a header");
    assert_bytes(read.output, read.output_length, "unsent");
    assert_bytes(read.input, read.input_length, "not done yet");
}

// Which outcomes a connection can have in each life, without output or input, with either, and with
// both: a bit for each outcome from TURN_MORE on.
TEST(a_connection_stands_as_its_life_can)
{
    enum {
        MORE = 1 << TURN_MORE,
        AGAIN = 1 << TURN_AGAIN,
        WAIT = 1 << TURN_WAIT,
        CLOSE = 1 << TURN_CLOSE,
        RESET = 1 << TURN_RESET,
        ANY = MORE | AGAIN | WAIT | CLOSE | RESET,
    };
    static const unsigned allowed[LIVES][4] = {
        //             nothing, output, input, both
        [LIFE_OPENING] = {MORE, 0, MORE, 0},
        [LIFE_READING] = {MORE, 0, MORE, 0},
        [LIFE_WRITING] = {AGAIN, ANY, AGAIN, ANY},
        [LIFE_WAITING] = {WAIT, 0, WAIT, 0},
        [LIFE_FLUSHING] = {ANY, 0, 0, 0},
        [LIFE_GOODBYE] = {ANY, 0, 0, 0},
        [LIFE_CLOSED] = {0},
    };

    for (unsigned life = 0; life <= LIVES; life++)
        for (unsigned holds = 0; holds < 4; holds++)
            for (unsigned outcome = 0; outcome <= TURN_SILENT + 1; outcome++) {
                struct state_connection connection = {.life = (enum life)life,
                                                      .closing = CLOSINGS,
                                                      .outcome = (enum outcome)outcome,
                                                      .output = "o",
                                                      .output_length = holds & 1,
                                                      .input = "i",
                                                      .input_length = holds >> 1};
                struct state_connection read;
                bool right = life < LIVES && (allowed[life][holds] >> outcome & 1);

                state_write_connection(&writer, &connection);
                struct state_reader reader = written();
                assert_int_equal(state_read_connection(&reader, &read), right);
                assert_int_equal(reader.problem == NULL, right);
                state_free(&writer);
            }
}

TEST(a_value_that_there_is_not_is_refused)
{
    struct state_port port = port_like("echo", (enum protocol)PROTOCOLS), port_read;
    struct state_connection connection = connection_like(), read;

    state_write_port(&writer, &port);
    struct state_reader reader = written();
    assert_false(state_read_port(&reader, &port_read));
    assert_string_equal(reader.problem, "it has a value that there is not");
    assert_int_equal(port_read.protocol, 0);
    state_free(&writer);
    connection.closing = (enum closing)(CLOSINGS + 1);
    state_write_connection(&writer, &connection);
    reader = written();
    assert_false(state_read_connection(&reader, &read));
    assert_int_equal(read.closing, 0);
}

TEST(another_magic_is_none_of_ours)
{
    struct state_header header;

    write_all();
    writer.bytes[0] ^= 1;
    struct state_reader reader = written();
    assert_false(state_read_header(&reader, &header));
    assert_string_equal(reader.problem, "it is none of this program's");
    assert_int_equal(reader.left, 0);
}

TEST(of_another_version_the_counts_can_be_read)
{
    struct state_header header = header_like(3), read;

    header.version = STATE_VERSION + 1;
    state_write_header(&writer, &header);
    struct state_reader reader = written();
    assert_false(state_read_header(&reader, &read));
    assert_string_equal(reader.problem, "it is of another version");
    assert_int_equal(read.version, STATE_VERSION + 1);
    assert_int_equal(read.ports, 2);
    assert_int_equal(read.connections, 3);
    assert_false(state_read_header(&reader, &read)); // and nothing more
    assert_string_equal(reader.problem, "it is of another version");
}

TEST(cut_anywhere_it_is_read_as_far_as_it_goes)
{
    unsigned last = 0;

    write_all();
    assert_int_equal(read_copy(writer.bytes, writer.length), 8);
    for (size_t length = 0; length < writer.length; length++) {
        unsigned records = read_copy(writer.bytes, length);

        assert_in_range(records, last, 7);
        last = records;
    }
    assert_int_equal(last, 7);
}

TEST(what_is_cut_off_says_so_in_every_reader)
{
    struct state_header header;
    struct state_port port;
    struct peer_kept peer;
    struct state_datagram datagram;
    struct state_connection connection;
    struct state_reader none[] = {reader_of("", 0), reader_of("", 0), reader_of("", 0),
                                  reader_of("", 0), reader_of("", 0)};

    assert_false(state_read_header(&none[0], &header));
    assert_false(state_read_port(&none[1], &port));
    assert_false(state_read_peer(&none[2], &peer));
    assert_false(state_read_datagram(&none[3], &datagram));
    assert_false(state_read_connection(&none[4], &connection));
    for (size_t i = 0; i < ARRAY_LENGTH(none); i++)
        assert_string_equal(none[i].problem, "it is cut off");
}

TEST(no_flipped_bit_does_harm)
{
    unsigned whole = 0;

    write_all();
    for (size_t bit = 0; bit < 8 * writer.length; bit++) {
        writer.bytes[bit / 8] ^= (char)(1 << bit % 8);
        whole += read_copy(writer.bytes, writer.length) == 8;
        writer.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(whole > 0 && whole < 8 * writer.length); // some bits are a counter's
}

TEST(no_bytes_do_harm)
{
    struct chance chance = chance_start(5);

    write_all();
    for (int round = 0; round < 20000; round++) {
        size_t length = chance_below(&chance, writer.length + 1);
        char *bytes = malloc(length + 1);

        assert_non_null(bytes);
        memcpy(bytes, writer.bytes, length);
        for (uint64_t left = chance_below(&chance, 20); length > 0 && left > 0; left--)
            bytes[chance_below(&chance, length)] = (char)chance_magnitude(&chance, 255);
        read_copy(bytes, length);
        free(bytes);
    }
}

// A record's length, little-endian, at AT.
static uint32_t length_at(const char *at)
{
    uint32_t length = 0;

    for (int i = PREFIX; i-- > 0;)
        length = length << 8 | (uint8_t)at[i];
    return length;
}

static void set_length(char *at, size_t length)
{
    for (int i = 0; i < PREFIX; i++)
        at[i] = (char)(length >> 8 * i);
}

// The record at AT of what was written, as LENGTH of its bytes, or with as many more behind it.
static char *resized(size_t at, size_t length, size_t *size)
{
    size_t was = length_at(writer.bytes + at), kept = size_min(was, length);
    char *bytes = malloc(writer.length + length);

    assert_non_null(bytes);
    memcpy(bytes, writer.bytes, at + PREFIX + kept);
    memset(bytes + at + PREFIX + kept, 0xee, length - kept);
    memcpy(bytes + at + PREFIX + length, writer.bytes + at + PREFIX + was,
           writer.length - at - PREFIX - was);
    set_length(bytes + at, length);
    *size = writer.length - was + length;
    return bytes;
}

TEST(longer_records_of_a_later_program_are_read)
{
    write_all();
    for (size_t at = HEADER_AT; at < writer.length; at += PREFIX + length_at(writer.bytes + at)) {
        size_t size;
        char *bytes = resized(at, length_at(writer.bytes + at) + 100, &size);

        assert_int_equal(read_copy(bytes, size), 8);
        free(bytes);
    }
}

TEST(a_later_program_may_count_more)
{
    struct state_header header = header_like(0), read;
    size_t at = HEADER_AT + PREFIX + 5 * sizeof(uint32_t) + 2 * sizeof(uint64_t) + sizeof(uint32_t);
    char more[1024];

    state_write_header(&writer, &header);
    assert_int_equal(length_at(writer.bytes + at), 7); // the single counters
    at += PREFIX + 7 * sizeof(uint64_t);
    memcpy(more, writer.bytes, at);
    memset(more + at, 0xee, 2 * sizeof(uint64_t));
    memcpy(more + at + 2 * sizeof(uint64_t), writer.bytes + at, writer.length - at);
    set_length(more + at - PREFIX - 7 * sizeof(uint64_t), 9);
    set_length(more + HEADER_AT, length_at(writer.bytes + HEADER_AT) + 2 * sizeof(uint64_t));
    struct state_reader reader = reader_of(more, writer.length + 2 * sizeof(uint64_t));
    assert_true(state_read_header(&reader, &read));
    assert_memory_equal(&read.counters, &header.counters, sizeof read.counters);
}

TEST(what_a_shorter_record_lacks_is_0)
{
    struct state_port port = port_like("echo", PROTOCOL_UDP), port_read;
    struct peer_kept peer = one_peer, peer_read;
    size_t size;

    state_write_port(&writer, &port);
    char *bytes = resized(0, length_at(writer.bytes) - 4, &size); // without .lost
    struct state_reader reader = reader_of(bytes, size);
    assert_true(state_read_port(&reader, &port_read));
    assert_int_equal(port_read.lost, 0);
    assert_address(&port_read.local, &port.local);
    free(bytes);
    bytes = resized(0, STATE_NAME_MAX_BYTES + 1, &size);
    reader = reader_of(bytes, size);
    assert_true(state_read_port(&reader, &port_read));
    assert_int_equal(port_read.protocol, PROTOCOL_UDP);
    assert_false(port_read.own);
    assert_address(&port_read.local, &(struct address){.port = 0});
    free(bytes);
    state_free(&writer);
    state_write_peer(&writer, &peer);
    bytes = resized(0, length_at(writer.bytes) - 2, &size); // without .longer, .rounds
    reader = reader_of(bytes, size);
    assert_true(state_read_peer(&reader, &peer_read));
    assert_int_equal(peer_read.weight, 4);
    assert_int_equal(peer_read.longer + peer_read.rounds, 0);
    free(bytes);
}

TEST(a_record_of_nothing_is_zeros_in_every_reader)
{
    static const char nothing[PREFIX];
    struct state_port port;
    struct peer_kept peer;
    struct state_datagram datagram;
    struct state_connection connection;
    struct state_reader reader = reader_of(nothing, sizeof nothing);

    assert_true(state_read_port(&reader, &port));
    assert_string_equal(port.name, "");
    reader = reader_of(nothing, sizeof nothing);
    assert_true(state_read_peer(&reader, &peer));
    assert_int_equal(peer.heard, 0);
    reader = reader_of(nothing, sizeof nothing);
    assert_true(state_read_datagram(&reader, &datagram));
    assert_int_equal(datagram.length + datagram.to_length + datagram.control_length, 0);
    reader = reader_of(nothing, sizeof nothing);
    assert_true(state_read_connection(&reader, &connection));
    assert_int_equal(connection.life, LIFE_OPENING);
    assert_int_equal(connection.input_length, 0);
}

TEST(a_record_that_ends_within_a_number_is_refused)
{
    struct state_connection connection = connection_like(), read;
    unsigned refused = 0;

    state_write_connection(&writer, &connection);
    for (size_t length = 0; length < length_at(writer.bytes); length++) {
        size_t size;
        char *bytes = resized(0, length, &size);
        struct state_reader reader = reader_of(bytes, size);

        refused += !state_read_connection(&reader, &read);
        free(bytes);
    }
    assert_true(refused > 40);
}

TEST(much_is_written_as_little_is)
{
    static char much[100000];
    struct state_connection connection = connection_like(), read;

    memset(much, 'm', sizeof much);
    connection.input = much;
    connection.input_length = sizeof much;
    for (int i = 0; i < 5; i++)
        state_write_connection(&writer, &connection);
    struct state_reader reader = written();
    for (int i = 0; i < 5; i++) {
        assert_true(state_read_connection(&reader, &read));
        assert_int_equal(read.input_length, sizeof much);
        assert_memory_equal(read.input, much, sizeof much);
    }
    assert_int_equal(reader.left, 0);
}

TEST(a_record_may_be_as_long_as_its_length_can_tell)
{
    enum { LONG = (1 << 24) + 3 };
    struct state_connection connection = connection_like(), read;
    char *much = malloc(LONG);

    assert_non_null(much);
    memset(much, 'm', LONG);
    connection.input = much;
    connection.input_length = LONG;
    state_write_connection(&writer, &connection);
    struct state_reader reader = written();
    assert_true(state_read_connection(&reader, &read));
    assert_int_equal(read.input_length, LONG);
    assert_memory_equal(read.input, much, LONG);
    assert_int_equal(reader.left, 0);
    free(much);
}

TEST(without_memory_it_says_so)
{
    for (unsigned nth = 1; nth <= 2; nth++) {
        static char much[5000];
        struct state_connection connection = connection_like();

        connection.input = much;
        connection.input_length = sizeof much;
        fails_at = nth;
        write_all();
        assert_int_equal(writer.failed, nth == 1);
        size_t length = writer.length;
        state_write_connection(&writer, &connection);
        assert_true(writer.failed);
        state_write_connection(&writer, &connection);
        assert_int_equal(writer.bytes == NULL, nth == 1);
        assert_true(nth == 2 || writer.length == length);
        state_free(&writer);
        assert_null(writer.bytes);
        assert_false(writer.failed);
    }
}
