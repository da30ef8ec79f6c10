// SPDX-License-Identifier: MIT
#include "core/state.h"

#include <stdlib.h>
#include <string.h>

#include "ground/util.h"

enum { ROOM_MIN = 4096, IP_BYTES = sizeof(struct in6_addr) };

static const char magic[16] = "epoll-echo state";
static const char cut[] = "it is cut off";

// Writing.

void state_free(struct state_writer *writer)
{
    free(writer->bytes);
    *writer = (struct state_writer){.bytes = NULL};
}

static bool reserve(struct state_writer *writer, size_t length)
{
    size_t room = writer->room > 0 ? writer->room : ROOM_MIN;

    while (room - writer->length < length)
        room *= 2;
    if (room == writer->room)
        return true;
    char *bytes = realloc(writer->bytes, room);
    if (!bytes)
        return false;
    writer->bytes = bytes;
    writer->room = room;
    return true;
}

static void put_bytes(struct state_writer *writer, const void *bytes, size_t length)
{
    if (writer->failed || !reserve(writer, length)) {
        writer->failed = true;
        return;
    }
    if (length > 0)
        memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

static void encode(uint64_t number, size_t width, uint8_t bytes[8])
{
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
}

static void put(struct state_writer *writer, uint64_t number, size_t width)
{
    uint8_t bytes[8];

    encode(number, width, bytes);
    put_bytes(writer, bytes, width);
}

static void put_u8(struct state_writer *writer, uint64_t number)
{
    put(writer, number, 1);
}

static void put_u32(struct state_writer *writer, uint64_t number)
{
    put(writer, number, 4);
}

static void put_u64(struct state_writer *writer, uint64_t number)
{
    put(writer, number, 8);
}

static void put_blob(struct state_writer *writer, const char *bytes, uint32_t length)
{
    put_u32(writer, length);
    put_bytes(writer, bytes, length);
}

static void put_all(struct state_writer *writer, const uint64_t *numbers, size_t count)
{
    put_u32(writer, count);
    for (size_t i = 0; i < count; i++)
        put_u64(writer, numbers[i]);
}

static void put_address(struct state_writer *writer, const struct address *address)
{
    put_bytes(writer, &address->ip, IP_BYTES);
    put_u32(writer, address->scope);
    put_u32(writer, address->port);
}

// A record's length is known at its end: returns where it is to stand.
static size_t begin(struct state_writer *writer)
{
    put_u32(writer, 0);
    return writer->length;
}

static void end(struct state_writer *writer, size_t begun)
{
    uint8_t bytes[8];

    if (writer->failed)
        return;
    encode(writer->length - begun, 4, bytes);
    memcpy(writer->bytes + begun - 4, bytes, 4);
}

static void put_counters(struct state_writer *writer, const struct counters *counters)
{
    const uint64_t single[] = {counters->total_clients, counters->accepted_tcp, counters->busy_tcp,
                               counters->proxy_refused, counters->udp_answered, counters->wakeups,
                               counters->log_suppressed};

    put_all(writer, single, ARRAY_LENGTH(single));
    put_all(writer, counters->closed_tcp, CLOSINGS);
    put_all(writer, counters->messages, PROTOCOLS);
    put_all(writer, counters->received, PROTOCOLS);
    put_all(writer, counters->sent, PROTOCOLS);
    put_all(writer, counters->udp_dropped, DROPS);
    put_all(writer, counters->commands, COUNTED_COMMANDS_MAX);
}

void state_write_header(struct state_writer *writer, const struct state_header *header)
{
    put_bytes(writer, magic, sizeof magic);
    size_t begun = begin(writer);

    put_u32(writer, header->version);
    put_u32(writer, header->ports);
    put_u32(writer, header->peers);
    put_u32(writer, header->datagrams);
    put_u32(writer, header->connections);
    put_u64(writer, header->start);
    put_u64(writer, header->logged);
    put_u32(writer, header->process);
    put_counters(writer, &header->counters);
    put_u32(writer, header->wrong_count);
    for (int i = 0; i < GUESSES_MAX; i++)
        put_u32(writer, header->wrong[i]);
    put_u32(writer, header->budget.second);
    put_u32(writer, header->budget.won);
    put_u32(writer, header->budget.given);
    put_u32(writer, header->budget.share);
    end(writer, begun);
}

void state_write_port(struct state_writer *writer, const struct state_port *port)
{
    size_t begun = begin(writer);

    put_bytes(writer, port->name, STATE_NAME_MAX_BYTES);
    put_u8(writer, port->protocol);
    put_u8(writer, port->open);
    put_u8(writer, port->own);
    put_address(writer, &port->local);
    put_u32(writer, port->lost);
    end(writer, begun);
}

void state_write_peer(struct state_writer *writer, const struct peer_kept *peer)
{
    size_t begun = begin(writer);

    put_address(writer, &peer->address);
    put_u32(writer, peer->heard);
    put_u32(writer, peer->second);
    put_u32(writer, peer->digest);
    put_u32(writer, peer->weight);
    put_u8(writer, peer->longer);
    put_u8(writer, peer->rounds);
    end(writer, begun);
}

void state_write_datagram(struct state_writer *writer, const struct state_datagram *datagram)
{
    size_t begun = begin(writer);

    put_u32(writer, datagram->port);
    put_u64(writer, datagram->due);
    put_blob(writer, datagram->to, datagram->to_length);
    put_blob(writer, datagram->control, datagram->control_length);
    put_blob(writer, datagram->bytes, datagram->length);
    end(writer, begun);
}

enum { DISCARDING = 1, OVERLONG_BEFORE = 2, WAITED = 4, PAUSED = 8 };

static unsigned flags_of(const struct memory *memory)
{
    return (memory->discarding ? DISCARDING : 0U) |
           (memory->overlong_before ? OVERLONG_BEFORE : 0U) | (memory->waited ? WAITED : 0U) |
           (memory->paused ? PAUSED : 0U);
}

void state_write_connection(struct state_writer *writer, const struct state_connection *connection)
{
    size_t begun = begin(writer);

    put_u32(writer, connection->port);
    put_u8(writer, connection->life);
    put_u8(writer, connection->closing);
    put_u8(writer, connection->outcome);
    put_u8(writer, flags_of(&connection->memory));
    put_u32(writer, connection->memory.dripped);
    put_u32(writer, connection->memory.left);
    put_u32(writer, connection->wait_ms);
    put_u64(writer, connection->due);
    put_u32(writer, connection->idle_due);
    put_u32(writer, connection->line_due);
    put_u64(writer, connection->number);
    put_blob(writer, connection->header, connection->header_length);
    put_blob(writer, connection->output, connection->output_length);
    put_blob(writer, connection->input, connection->input_length);
    end(writer, begun);
}

// Reading.

static void fail(struct state_reader *reader, const char *problem)
{
    if (!reader->problem)
        reader->problem = problem;
    reader->left = 0;
}

static const char *take(struct state_reader *reader, size_t length)
{
    const char *at = reader->at;

    if (reader->left < length) {
        fail(reader, cut);
        return NULL;
    }
    reader->at += length;
    reader->left -= length;
    return at;
}

// 0 where the record has ended.
static uint64_t get(struct state_reader *record, size_t width)
{
    const char *at = record->left == 0 ? NULL : take(record, width);
    uint64_t number = 0;

    /*@ loop invariant 0 <= i <= width;
        loop assigns i, number;
        loop variant width - i;
    */
    for (size_t i = 0; at && i < width; i++)
        number |= (uint64_t)(uint8_t)at[i] << (8 * i);
    return number;
}

static uint32_t get_u8(struct state_reader *record)
{
    return (uint32_t)get(record, 1);
}

static uint32_t get_u32(struct state_reader *record)
{
    return (uint32_t)get(record, 4);
}

static uint64_t get_u64(struct state_reader *record)
{
    return get(record, 8);
}

// One of COUNT values.
static uint32_t get_choice(struct state_reader *record, uint32_t count)
{
    uint32_t value = get_u8(record);

    if (value >= count)
        fail(record, "it has a value that there is not");
    return value < count ? value : 0;
}

static uint32_t get_blob(struct state_reader *record, const char **bytes)
{
    uint32_t length = get_u32(record);

    *bytes = take(record, length);
    return *bytes ? length : 0;
}

static void get_all(struct state_reader *record, uint64_t *numbers, size_t count)
{
    uint32_t there = get_u32(record);

    /*@ loop invariant 0 <= i <= there && reader_ok(record);
        loop invariant \at(record->problem, Pre) != \null ==> record->problem != \null;
        loop assigns i, record->at, record->left, record->problem, numbers[0 .. count - 1];
        loop variant there - i;
    */
    for (uint32_t i = 0; i < there && record->left > 0; i++) {
        uint64_t number = get_u64(record);

        if (i < count)
            numbers[i] = number;
    }
}

// Zeros where the record has ended.
static void get_bytes(struct state_reader *record, void *bytes, size_t length)
{
    const char *at = record->left == 0 ? NULL : take(record, length);

    if (at)
        memcpy(bytes, at, length);
    else
        memset(bytes, 0, length);
}

static struct address get_address(struct state_reader *record)
{
    struct address address = {.port = 0};

    get_bytes(record, address.ip.s6_addr, IP_BYTES);
    address.scope = get_u32(record);
    address.port = (uint16_t)get_u32(record);
    return address;
}

// The next record, whose problem becomes READER's by `ends`.
static struct state_reader next(struct state_reader *reader)
{
    const char *prefix = take(reader, 4);
    struct state_reader number = {.at = prefix, .left = prefix ? 4 : 0};
    uint32_t length = get_u32(&number);
    const char *at = take(reader, length);

    return (struct state_reader){
        .at = at ? at : "", .left = at ? length : 0, .problem = reader->problem};
}

static bool ends(struct state_reader *reader, const struct state_reader *record)
{
    if (record->problem)
        fail(reader, record->problem);
    return record->problem == NULL;
}

static void get_counters(struct state_reader *record, struct counters *counters)
{
    uint64_t single[7] = {0};

    get_all(record, single, ARRAY_LENGTH(single));
    *counters = (struct counters){.total_clients = single[0],
                                  .accepted_tcp = single[1],
                                  .busy_tcp = single[2],
                                  .proxy_refused = single[3],
                                  .udp_answered = single[4],
                                  .wakeups = single[5],
                                  .log_suppressed = single[6]};
    get_all(record, counters->closed_tcp, CLOSINGS);
    get_all(record, counters->messages, PROTOCOLS);
    get_all(record, counters->received, PROTOCOLS);
    get_all(record, counters->sent, PROTOCOLS);
    get_all(record, counters->udp_dropped, DROPS);
    get_all(record, counters->commands, COUNTED_COMMANDS_MAX);
}

bool state_read_header(struct state_reader *reader, struct state_header *header)
{
    const char *found = take(reader, sizeof magic);

    if (found && memcmp(found, magic, sizeof magic) != 0)
        fail(reader, "it is none of this program's");
    struct state_reader record = next(reader);
    *header = (struct state_header){.version = get_u32(&record)};
    header->ports = get_u32(&record);
    header->peers = get_u32(&record);
    header->datagrams = get_u32(&record);
    header->connections = get_u32(&record);
    header->start = get_u64(&record);
    header->logged = get_u64(&record);
    header->process = get_u32(&record);
    get_counters(&record, &header->counters);
    header->wrong_count = get_u32(&record);
    for (int i = 0; i < GUESSES_MAX; i++)
        header->wrong[i] = get_u32(&record);
    header->budget.second = get_u32(&record);
    header->budget.won = get_u32(&record);
    header->budget.given = get_u32(&record);
    header->budget.share = get_u32(&record);
    if (header->version != STATE_VERSION)
        fail(&record, "it is of another version");
    return ends(reader, &record);
}

bool state_read_port(struct state_reader *reader, struct state_port *port)
{
    struct state_reader record = next(reader);

    get_bytes(&record, port->name, STATE_NAME_MAX_BYTES);
    if (!memchr(port->name, '\0', STATE_NAME_MAX_BYTES))
        fail(&record, "a name has no end");
    port->protocol = (enum protocol)get_choice(&record, PROTOCOLS);
    port->open = get_u8(&record);
    port->own = get_u8(&record);
    port->local = get_address(&record);
    port->lost = get_u32(&record);
    return ends(reader, &record);
}

bool state_read_peer(struct state_reader *reader, struct peer_kept *peer)
{
    struct state_reader record = next(reader);

    peer->address = get_address(&record);
    peer->heard = get_u32(&record);
    peer->second = get_u32(&record);
    peer->digest = get_u32(&record);
    peer->weight = get_u32(&record);
    peer->longer = (uint8_t)get_u8(&record);
    peer->rounds = (uint8_t)get_u8(&record);
    return ends(reader, &record);
}

bool state_read_datagram(struct state_reader *reader, struct state_datagram *datagram)
{
    struct state_reader record = next(reader);

    datagram->port = get_u32(&record);
    datagram->due = get_u64(&record);
    datagram->to_length = get_blob(&record, &datagram->to);
    datagram->control_length = get_blob(&record, &datagram->control);
    datagram->length = get_blob(&record, &datagram->bytes);
    if (datagram->to_length > sizeof(struct sockaddr_storage) ||
        datagram->control_length > STATE_CONTROL_MAX_BYTES || datagram->length > UINT16_MAX)
        fail(&record, "a datagram is too long");
    return ends(reader, &record);
}

// Whether what CONNECTION holds is what one in its life can hold.
static bool consistent(const struct state_connection *connection)
{
    bool output = connection->output_length > 0, input = connection->input_length > 0;

    switch (connection->life) {
    case LIFE_OPENING:
    case LIFE_READING:
        return !output && connection->outcome == TURN_MORE;
    case LIFE_WRITING:
        return output || connection->outcome == TURN_AGAIN;
    case LIFE_WAITING:
        return !output && connection->outcome == TURN_WAIT;
    default:
        return !output && !input;
    }
}

static struct memory get_memory(struct state_reader *record)
{
    unsigned flags = get_u8(record);
    struct memory memory = {.discarding = flags & DISCARDING,
                            .overlong_before = flags & OVERLONG_BEFORE,
                            .waited = flags & WAITED,
                            .paused = flags & PAUSED};

    memory.dripped = get_u32(record);
    memory.left = get_u32(record);
    return memory;
}

bool state_read_connection(struct state_reader *reader, struct state_connection *connection)
{
    struct state_reader record = next(reader);

    connection->port = get_u32(&record);
    connection->life = (enum life)get_choice(&record, LIFE_CLOSED);
    connection->closing = (enum closing)get_choice(&record, CLOSINGS + 1);
    connection->outcome = (enum outcome)get_choice(&record, TURN_SILENT);
    connection->memory = get_memory(&record);
    connection->wait_ms = get_u32(&record);
    connection->due = get_u64(&record);
    connection->idle_due = get_u32(&record);
    connection->line_due = get_u32(&record);
    connection->number = get_u64(&record);
    connection->header_length = get_blob(&record, &connection->header);
    connection->output_length = get_blob(&record, &connection->output);
    connection->input_length = get_blob(&record, &connection->input);
    if (connection->outcome == TURN_FACTS || !consistent(connection))
        fail(&record, "a connection cannot be as it says");
    return ends(reader, &record);
}
