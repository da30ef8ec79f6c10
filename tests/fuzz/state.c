// SPDX-License-Identifier: MIT
// Any bytes that a process might have left: nothing beyond them is read, what is read stands as it
// can, and written anew it reads back the same.
#include "fuzz.h"

#include "core/state.h"

static const char *start, *end;

static void must_be_within(const char *bytes, size_t length)
{
    fuzz_must(bytes && bytes >= start && bytes + length <= end);
}

// A record that was read is written and read once more.
#define MUST_READ_BACK(kind, type, record, same)                                                   \
    do {                                                                                           \
        struct state_writer writer = {.bytes = NULL};                                              \
        type again;                                                                                \
                                                                                                   \
        memset(&again, 0xff, sizeof again);                                                        \
        state_write_##kind(&writer, record);                                                       \
        fuzz_must(!writer.failed);                                                                 \
        struct state_reader rest = {.at = writer.bytes, .left = writer.length};                    \
        fuzz_must(state_read_##kind(&rest, &again) && rest.left == 0 && !rest.problem);            \
        fuzz_must(same(record, &again));                                                           \
        state_free(&writer);                                                                       \
    } while (0)

static bool same_bytes(const char *a, size_t length, const char *b, size_t other)
{
    return length == other && (length == 0 || memcmp(a, b, length) == 0);
}

static bool same_header(const struct state_header *a, const struct state_header *b)
{
    return a->start == b->start && a->ports == b->ports && a->peers == b->peers &&
           a->datagrams == b->datagrams && a->connections == b->connections &&
           a->logged == b->logged && a->process == b->process && a->wrong_count == b->wrong_count &&
           memcmp(a->wrong, b->wrong, sizeof a->wrong) == 0 &&
           memcmp(&a->budget, &b->budget, sizeof a->budget) == 0 &&
           memcmp(&a->counters, &b->counters, sizeof a->counters) == 0;
}

static bool same_port(const struct state_port *a, const struct state_port *b)
{
    return strcmp(a->name, b->name) == 0 && a->protocol == b->protocol &&
           address_same(&a->local, &b->local) && a->open == b->open && a->own == b->own &&
           a->lost == b->lost;
}

static bool same_peer(const struct peer_kept *a, const struct peer_kept *b)
{
    return address_same(&a->address, &b->address) && a->heard == b->heard &&
           a->second == b->second && a->digest == b->digest && a->weight == b->weight &&
           a->longer == b->longer && a->rounds == b->rounds;
}

static bool same_datagram(const struct state_datagram *a, const struct state_datagram *b)
{
    return a->port == b->port && a->due == b->due &&
           same_bytes(a->to, a->to_length, b->to, b->to_length) &&
           same_bytes(a->control, a->control_length, b->control, b->control_length) &&
           same_bytes(a->bytes, a->length, b->bytes, b->length);
}

static bool same_memory(const struct memory *a, const struct memory *b)
{
    return a->discarding == b->discarding && a->overlong_before == b->overlong_before &&
           a->waited == b->waited && a->paused == b->paused && a->dripped == b->dripped &&
           a->left == b->left;
}

static bool same_connection(const struct state_connection *a, const struct state_connection *b)
{
    return a->port == b->port && a->life == b->life && a->closing == b->closing &&
           a->outcome == b->outcome && same_memory(&a->memory, &b->memory) &&
           a->wait_ms == b->wait_ms && a->due == b->due && a->idle_due == b->idle_due &&
           a->line_due == b->line_due && a->number == b->number &&
           same_bytes(a->header, a->header_length, b->header, b->header_length) &&
           same_bytes(a->output, a->output_length, b->output, b->output_length) &&
           same_bytes(a->input, a->input_length, b->input, b->input_length);
}

static void read_ports(struct state_reader *reader, uint32_t count)
{
    struct state_port port;

    for (uint32_t i = 0; i < count && state_read_port(reader, &port); i++) {
        fuzz_must(memchr(port.name, '\0', sizeof port.name) && port.protocol < PROTOCOLS);
        MUST_READ_BACK(port, struct state_port, &port, same_port);
    }
}

static void read_peers(struct state_reader *reader, uint32_t count)
{
    struct peer_kept peer;

    for (uint32_t i = 0; i < count && state_read_peer(reader, &peer); i++)
        MUST_READ_BACK(peer, struct peer_kept, &peer, same_peer);
}

static void read_datagrams(struct state_reader *reader, uint32_t count)
{
    struct state_datagram datagram;

    for (uint32_t i = 0; i < count && state_read_datagram(reader, &datagram); i++) {
        must_be_within(datagram.to, datagram.to_length);
        must_be_within(datagram.control, datagram.control_length);
        must_be_within(datagram.bytes, datagram.length);
        fuzz_must(datagram.to_length <= sizeof(struct sockaddr_storage));
        fuzz_must(datagram.control_length <= STATE_CONTROL_MAX_BYTES);
        MUST_READ_BACK(datagram, struct state_datagram, &datagram, same_datagram);
    }
}

static void read_connections(struct state_reader *reader, uint32_t count)
{
    struct state_connection connection;

    for (uint32_t i = 0; i < count && state_read_connection(reader, &connection); i++) {
        must_be_within(connection.header, connection.header_length);
        must_be_within(connection.output, connection.output_length);
        must_be_within(connection.input, connection.input_length);
        fuzz_must(connection.life < LIFE_CLOSED && connection.closing <= CLOSINGS);
        fuzz_must(connection.outcome < TURN_SILENT && connection.outcome != TURN_FACTS);
        fuzz_must(connection.output_length == 0 || connection.life == LIFE_WRITING);
        MUST_READ_BACK(connection, struct state_connection, &connection, same_connection);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *block = malloc(size + 1); // which ends with the bytes
    struct state_header header;

    if (!block)
        abort();
    start = block + 1;
    end = start + size;
    memcpy(block + 1, data, size);
    struct state_reader reader = {.at = start, .left = size};
    if (state_read_header(&reader, &header)) {
        fuzz_must(header.version == STATE_VERSION);
        MUST_READ_BACK(header, struct state_header, &header, same_header);
        read_ports(&reader, header.ports);
        read_peers(&reader, header.peers);
        read_datagrams(&reader, header.datagrams);
        read_connections(&reader, header.connections);
    }
    fuzz_must(!reader.problem || reader.left == 0);
    fuzz_must(reader.at + reader.left <= end && reader.at >= start);
    free(block);
    return 0;
}
