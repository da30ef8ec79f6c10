// SPDX-License-Identifier: MIT
#include "transport/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/proxy.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"
#include "transport/conn.h"
#include "transport/conn_log.h"
#include "transport/exchange.h"

// Giving.

typedef bool visitor(const struct conn *conn, void *context);

// Has VISIT see all connections, in the same order each time, for as long as it returns true. They
// are found by the time that runs for each: in one of the lists, or among the delays.
static bool visit_all(const struct pool *pool, visitor *visit, void *context)
{
    const struct list *all[] = {&pool->opening.list, &pool->idle.list, &pool->owing.list,
                                &pool->goodbye.list, &pool->observing.list};
    const struct delays *delays = &pool->delays;

    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        for (const struct list *at = all[i]->next; at != all[i]; at = at->next)
            if (!visit(container_of(at, struct conn, idle.link), context))
                return false;
    for (uint32_t i = 0; i < delays->count; i++)
        if (!visit(container_of(delays->heap[i], struct conn, delay), context))
            return false;
    return true;
}

static struct state_connection describe(const struct conn *conn, const struct ports *ports)
{
    struct held *held = conn->held;
    bool busy = conn->port == &ports->pool.busy_port, waits = conn_life(conn) == LIFE_WAITING;
    struct state_connection state = {
        .port = busy ? STATE_BUSY : (uint32_t)(conn->port - ports->port),
        .life = conn_life(conn),
        .closing = conn->watch.note,
        .outcome = held_of(held)->outcome,
        .due = waits ? conn->delay.due : 0,
        .idle_due = waits ? TICKS_NEVER : conn->idle.due,
        .number = conn_log_number(conn),
    };

    if (!held)
        return state;
    state.memory = held->memory;
    state.wait_ms = held->wait_ms;
    state.line_due = held->begun ? held->begun->line.due : 0;
    state.header = held->bytes;
    state.header_length = held->header;
    state.output = held_output(held) + held->sent;
    state.output_length = held->output - held->sent;
    state.input = held_input(held);
    state.input_length = held->input;
    return state;
}

static bool count(const struct conn *conn, void *connections)
{
    (void)conn;
    ++*(uint32_t *)connections;
    return true;
}

static bool goes_along(const struct port *port, bool passed)
{
    return port->watch.fd >= 0 && (port->own || passed);
}

static void write_port(struct state_writer *writer, const struct port *port, bool passed)
{
    struct state_port state = {.protocol = port->protocol,
                               .local = port->local,
                               .open = goes_along(port, passed),
                               .own = port->own,
                               .lost = port->lost};
    struct text name = text_in(state.name, sizeof state.name);

    text_format(&name, "%s%s", port->role->name, port->proxy ? DUTY_PROXY : "");
    text_end(&name);
    state_write_port(writer, &state);
}

static void write_datagrams(struct state_writer *writer, const struct ports *ports)
{
    const struct delays *delays = &ports->udp.delayed.delays;

    for (uint32_t i = 0; i < delays->count; i++) {
        const struct delayed *delayed = container_of(delays->heap[i], struct delayed, delay);
        struct state_datagram state = {.port = (uint32_t)(delayed->port - ports->port),
                                       .due = delayed->delay.due,
                                       .to = (const char *)&delayed->to,
                                       .to_length = delayed->to_length,
                                       .control = delayed->bytes,
                                       .control_length = delayed->control_length,
                                       .bytes = delayed->bytes + delayed->control_length,
                                       .length = (uint32_t)delayed->length};

        state_write_datagram(writer, &state);
    }
}

struct writing {
    struct state_writer *writer;
    const struct ports *ports;
};

static bool write_connection(const struct conn *conn, void *context)
{
    const struct writing *writing = context;
    struct state_connection state = describe(conn, writing->ports);

    state_write_connection(writing->writer, &state);
    return true;
}

// Whether what the process is asked by goes along: it is of use to the same process alone.
static bool knows(const struct process *process, bool passed)
{
    return passed && process && process->statm >= 0 && process->descriptors >= 0;
}

static void write_all(struct state_writer *writer, struct ports *ports, bool passed)
{
    struct pool *pool = &ports->pool;
    struct peers *peers = &pool->service->peers;
    struct state_header header = {.version = STATE_VERSION,
                                  .start = pool->loop->start,
                                  .logged = pool->logged,
                                  .ports = (uint32_t)ports->count,
                                  .peers = peers->known,
                                  .datagrams = ports->udp.delayed.delays.count,
                                  .process =
                                      knows(pool->process, passed) ? HANDOVER_PROCESS_MAX : 0,
                                  .counters = pool->service->counters,
                                  .wrong_count = pool->service->gate->wrong_count,
                                  .budget = peers->budget.now};
    struct writing writing = {writer, ports};
    struct peer_kept peer;

    memcpy(header.wrong, pool->service->gate->wrong, sizeof header.wrong);

    visit_all(pool, count, &header.connections);
    header.counters.wakeups = pool->loop->turns;
    header.counters.log_suppressed += log_suppressed();
    state_write_header(writer, &header);
    for (size_t i = 0; i < ports->count; i++)
        write_port(writer, &ports->port[i], passed);
    for (uint32_t at = 0; peers_next_kept(peers, &at, &peer);)
        state_write_peer(writer, &peer);
    write_datagrams(writer, ports);
    visit_all(pool, write_connection, &writing);
}

static bool send_connection(const struct conn *conn, void *flight)
{
    return flight_send(flight, conn->watch.fd);
}

// In the order of what tells about them.
static bool send_descriptors(struct ports *ports, struct flight *flight, bool passed)
{
    const struct process *process = ports->pool.process;

    for (size_t i = 0; i < ports->count; i++)
        if (goes_along(&ports->port[i], passed) && !flight_send(flight, ports->port[i].watch.fd))
            return false;
    if (knows(process, passed) &&
        (!flight_send(flight, process->statm) || !flight_send(flight, process->descriptors)))
        return false;
    // The next process takes those before these: it would have no descriptor left to start with.
    if (!flight_flush(flight))
        return false;
    return visit_all(&ports->pool, send_connection, flight) && flight_flush(flight);
}

bool handover_give(struct ports *ports, struct flight *flight, bool passed)
{
    struct state_writer writer = {.bytes = NULL};

    write_all(&writer, ports, passed);
    errno = ENOMEM;
    bool given = !writer.failed && flight_send_bytes(flight, writer.bytes, writer.length) &&
                 send_descriptors(ports, flight, passed);
    int error = errno;
    state_free(&writer);
    errno = error;
    return given;
}

// Taking.

static bool read_ports(struct handover *handover)
{
    struct state_reader *reader = &handover->reader;

    if (handover->header.ports > PORTS_MAX || handover->header.process > HANDOVER_PROCESS_MAX) {
        reader->problem = "there are too many ports";
        return false;
    }
    handover->ports = calloc(PORTS_MAX, sizeof *handover->ports);
    if (!handover->ports) {
        reader->problem = "there is no memory";
        return false;
    }
    for (uint32_t i = 0; i < handover->header.ports; i++) {
        struct inherited *inherited = &handover->ports[i];

        inherited->fd = -1;
        if (!state_read_port(reader, &inherited->port))
            return false;
    }
    return true;
}

// What PORT's socket is said to be. One that is something else is closed.
static int take_socket(struct handover *handover, const struct state_port *port)
{
    int fd = arrival_next(&handover->arrival);

    if (fd < 0 ||
        net_serves(fd, port->protocol == PROTOCOL_TCP ? SOCK_STREAM : SOCK_DGRAM, &port->local))
        return fd;
    close(fd);
    return -1;
}

// Before this nothing is taken by its place: where the bytes are of no use, the descriptors have to
// tell themselves what they are.
static void take_descriptors(struct handover *handover)
{
    for (uint32_t i = 0; i < handover->header.ports; i++)
        if (handover->ports[i].port.open)
            handover->ports[i].fd = take_socket(handover, &handover->ports[i].port);
    for (uint32_t i = 0; i < handover->header.process; i++)
        handover->process[i] = arrival_next(&handover->arrival);
}

void handover_open(struct handover *handover, int socket)
{
    *handover = (struct handover){.arrival = {.socket = -1}, .process = {-1, -1}};
    if (socket < 0)
        return;
    handover->problem = arrival_open(&handover->arrival, socket);
    if (handover->problem)
        return;
    handover->reader =
        (struct state_reader){.at = handover->arrival.bytes, .left = handover->arrival.length};
    if (state_read_header(&handover->reader, &handover->header) && read_ports(handover))
        take_descriptors(handover);
    else
        handover->header = (struct state_header){.version = handover->header.version};
    handover->problem = handover->reader.problem;
}

bool handover_comes(const struct handover *handover)
{
    return handover->arrival.socket >= 0;
}

int handover_next_passed(struct handover *handover, struct state_port *port)
{
    for (uint32_t i = 0; i < handover->header.ports; i++) {
        struct inherited *inherited = &handover->ports[i];
        int fd = inherited->fd;

        if (fd < 0 || inherited->port.own)
            continue;
        *port = inherited->port;
        inherited->fd = -1;
        return fd;
    }
    return -1;
}

static bool is_for(const struct port *port, struct duty duty)
{
    return port->role == duty.role && port->proxy == duty.proxy;
}

// Whether what was opened for WAS serves DUTY at ADDRESS, which may leave the port open.
static bool suits(const struct state_port *was, struct duty duty, const struct address *address)
{
    struct duty own = duty_find(was->name, strlen(was->name));
    struct address wanted = *address;

    if (wanted.port == 0 && own.role == duty.role && own.proxy == duty.proxy)
        wanted.port = was->local.port;
    return address_same(&was->local, &wanted);
}

int handover_claim(struct handover *handover, struct duty duty, enum protocol protocol,
                   const struct address *address, bool both)
{
    for (uint32_t i = 0; i < handover->header.ports; i++) {
        struct inherited *inherited = &handover->ports[i];
        int fd = inherited->fd;

        if (fd < 0 || inherited->port.protocol != protocol || !inherited->port.own ||
            !suits(&inherited->port, duty, address) || net_is_dual(fd) != both)
            continue;
        inherited->fd = -1;
        return fd;
    }
    return -1;
}

// The port whose connections those of WAS are now: at the same address if there is one, else any of
// that duty, else one without a socket. NULL: no role of this program's has that duty; or there is
// no socket that WAS's datagrams could go out by.
static struct port *find_port(struct ports *ports, const struct state_port *was)
{
    struct duty duty = duty_find(was->name, strlen(was->name));
    struct port *like = NULL;

    if (!duty.role || !duty_is_for(duty, was->protocol))
        return NULL;
    for (size_t i = 0; i < ports->count; i++) {
        struct port *port = &ports->port[i];

        if (!is_for(port, duty) || port->protocol != was->protocol)
            continue;
        if (address_same(&port->local, &was->local))
            return port;
        like = like ? like : port;
    }
    if (was->protocol == PROTOCOL_UDP)
        return NULL;
    return like ? like : ports_add_closed(ports, duty, &was->local);
}

// A port for connections that nothing more is known of than that they are there.
static struct port *last_port(struct ports *ports)
{
    struct state_port none = {.name = "discard", .protocol = PROTOCOL_TCP};

    return find_port(ports, &none);
}

// TIMEOUT, which begins now, falls due when it was to, if it falls due at all, and no later.
static void fall_due(const struct timeouts *timeouts, struct timeout *timeout, ticks due)
{
    if (timeouts->after != TICKS_NEVER)
        timeout->due = ticks_sooner(timeout->due, due);
}

// The same for what waits for so many MILLISECONDS at most.
static uint64_t due_within(struct pool *pool, uint64_t due, uint32_t milliseconds)
{
    return uint64_min(due, loop_nanoseconds(pool->loop) + milliseconds * UINT64_C(1000000));
}

// The order in which messages have begun is none of those in which connections are told of; and
// what is told may be wrong.
static void sort_deadlines(struct pool *pool)
{
    struct timeouts *all[] = {&pool->opening, &pool->idle,      &pool->owing,
                              &pool->goodbye, &pool->observing, &pool->line};

    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        timeouts_sort(all[i]);
}

static void count_in(struct pool *pool, const struct role *role)
{
    if (role->admitted)
        pool->service->counters.connected_tcp++;
    else if (role->observer)
        pool->observers++;
    else
        pool->busy++;
}

// The time that CONN's life has goes on. False without memory.
static bool time_on(struct conn *conn, const struct state_connection *state)
{
    struct pool *pool = conn->port->pool;

    if (state->life == LIFE_WAITING)
        return conn_delay(conn, due_within(pool, state->due, state->wait_ms));
    conn_time(conn);
    fall_due(pool_deadline(pool, conn->port->role, state->life), &conn->idle, state->idle_due);
    return true;
}

// The same for its message that has begun, if one has.
static bool line_on(struct conn *conn, const struct state_connection *state)
{
    struct pool *pool = conn->port->pool;

    if (!conn->held || state->life != LIFE_READING || state->line_due == 0)
        return true;
    if (!held_begin(conn->held, conn, pool))
        return false;
    fall_due(&pool->line, &conn->held->begun->line, state->line_due);
    return true;
}

// CONN goes on where STATE has left it. False with errno.
static bool go_on(struct conn *conn, const struct state_connection *state)
{
    conn->watch.state = state->life & 0xf;
    conn->watch.note = state->closing & 0xf;
    return time_on(conn, state) && held_resume(&conn->held, state) && line_on(conn, state) &&
           conn_await(conn) == 0;
}

// The bytes that are read anew with what is there have to fit.
static bool fits(const struct pool *pool, const struct state_connection *state)
{
    size_t most = state->outcome == TURN_AGAIN || state->outcome == TURN_WAIT
                      ? pool_input_bytes(pool)
                      : pool_input_bytes(pool) - READ_MAX_BYTES;

    return state->input_length <= most;
}

// Whether STATE's header, if it has one, is what is kept of such.
static bool announces(const struct state_connection *state)
{
    struct proxy_header header;

    if (state->header_length == 0)
        return true;
    proxy_parse(state->header, state->header_length, &header);
    return header.announced && header.length == state->header_length;
}

// What is owed goes out, then FIN.
static struct state_connection ended(const struct state_connection *state)
{
    struct state_connection last = *state;

    last.outcome = TURN_CLOSE;
    last.input_length = last.header_length = 0;
    last.memory = (struct memory){.discarding = false};
    if (last.life < LIFE_FLUSHING && last.output_length == 0)
        last.life = LIFE_READING;
    return last;
}

static struct conn *create(struct ports *ports, struct port *port, int fd)
{
    struct port *at = port ? port : last_port(ports);
    struct address peer = net_peer(fd);
    struct conn *conn = at ? exchange_create(at, fd, &peer) : NULL;

    if (conn)
        count_in(&ports->pool, at->role);
    return conn;
}

// Those that have come, and those that the process before has told of.
struct tally {
    struct counters *counters;
    unsigned taken, ended, lost;
    uint32_t told;
};

// It will not be closed here, so it is counted as closed.
static void lose(struct tally *tally, bool counted)
{
    tally->lost++;
    tally->counters->closed_tcp[CLOSED_RESET] += counted;
}

// Takes over a connection, of PORT if there is that. TRIAL: only as far as it can be undone.
static void take(struct ports *ports, struct port *port, int fd,
                 const struct state_connection *state, bool trial, struct tally *tally)
{
    bool goes_on = port && fits(&ports->pool, state) && announces(state);
    struct state_connection last = ended(state);
    struct conn *conn = create(ports, port, fd);

    if (!conn) {
        close(fd);
        lose(tally, !port || port->role->admitted);
        return;
    }
    conn_log_renumber(conn, state->number);
    if (!go_on(conn, goes_on ? state : &last)) {
        tally->lost++;
        conn_close(conn, CLOSED_RESET, strerror(errno));
        return;
    }
    *(goes_on ? &tally->taken : &tally->ended) += 1;
    if (!goes_on && !trial && conn_life(conn) == LIFE_READING)
        conn_lead(conn, (struct balance){.outcome = TURN_CLOSE});
}

static struct port *port_of(struct ports *ports, const struct handover *handover, uint32_t number)
{
    if (number == STATE_BUSY)
        return &ports->pool.busy_port;
    return number < handover->header.ports ? find_port(ports, &handover->ports[number].port) : NULL;
}

// What has come by another end than this one, and what was reset on its way, is no connection.
static bool is_connection(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM &&
           net_peer(fd).port != 0;
}

// Nothing is known of FD but that it has come, if it is a connection at all. NEW: not even the
// counters know of it.
static void take_unknown(struct ports *ports, int fd, bool new, bool trial, struct tally *tally)
{
    static const struct state_connection unknown = {
        .life = LIFE_READING, .closing = CLOSINGS, .idle_due = TICKS_NEVER};

    if (fd >= 0 && !is_connection(fd)) {
        close(fd);
        return;
    }
    tally->counters->total_clients += new;
    tally->counters->accepted_tcp += new;
    if (fd >= 0)
        take(ports, NULL, fd, &unknown, trial, tally);
    else
        lose(tally, true);
}

// FD may be one that has not come.
static void take_known(struct handover *handover, struct ports *ports, int fd,
                       const struct state_connection *state, bool trial, struct tally *tally)
{
    struct port *port = port_of(ports, handover, state->port);

    if (fd >= 0 && is_connection(fd)) {
        take(ports, port, fd, state, trial, tally);
        return;
    }
    if (fd >= 0)
        close(fd);
    lose(tally, !port || port->role->admitted);
}

// Whether there is one more that is told of.
static bool read_next(struct handover *handover, struct tally *tally,
                      struct state_connection *state)
{
    if (handover->problem || tally->told == handover->header.connections ||
        !state_read_connection(&handover->reader, state))
        return false;
    tally->told++;
    return true;
}

static void take_connections(struct handover *handover, struct ports *ports, bool trial)
{
    struct tally tally = {.counters = &ports->pool.service->counters};
    struct state_connection state;
    int fd;

    while ((fd = arrival_next(&handover->arrival)) != ARRIVAL_END)
        if (read_next(handover, &tally, &state))
            take_known(handover, ports, fd, &state, trial, &tally);
        else
            take_unknown(ports, fd, handover->problem != NULL, trial, &tally);
    while (read_next(handover, &tally, &state))
        take_known(handover, ports, ARRIVAL_LOST, &state, trial, &tally);
    sort_deadlines(&ports->pool);
    if (!handover->problem)
        handover->problem = handover->reader.problem;
    log_event(handover->problem || tally.lost + tally.ended > 0 ? LOG_WARNING : LOG_INFO,
              "connections taken over", LOG_NUMBER("count", tally.taken),
              LOG_NUMBER("ended", tally.ended), LOG_NUMBER("lost", tally.lost),
              LOG_TEXT("error", handover->problem));
}

// The number of answers that are dropped for it.
static unsigned keep(struct ports *ports, struct port *port, const struct state_datagram *state)
{
    struct sockaddr_storage to = {.ss_family = AF_UNSPEC};
    struct iovec answer = {(void *)state->bytes, state->length};
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = state->to_length,
                             .msg_iov = &answer,
                             .msg_iovlen = 1,
                             .msg_control = (void *)state->control,
                             .msg_controllen = state->control_length};

    memcpy(&to, state->to, state->to_length);
    return delayed_keep(&ports->udp.delayed, port, &message,
                        due_within(&ports->pool, state->due, UINT32_MAX));
}

static void take_datagrams(struct handover *handover, struct ports *ports)
{
    struct state_datagram state;

    for (uint32_t i = 0; i < handover->header.datagrams; i++) {
        if (!state_read_datagram(&handover->reader, &state))
            return;
        struct port *port = port_of(ports, handover, state.port);
        uint64_t *dropped = &ports->pool.service->counters.udp_dropped[DROP_SEND];

        if (port && port->protocol == PROTOCOL_UDP)
            *dropped += keep(ports, port, &state);
        else
            ++*dropped;
    }
}

// What was counted as lost at a socket before this process is not counted again; what was lost
// since is.
static void take_lost(struct handover *handover, struct ports *ports)
{
    for (uint32_t i = 0; i < handover->header.ports; i++) {
        const struct state_port *was = &handover->ports[i].port;
        struct port *port = was->protocol == PROTOCOL_UDP ? find_port(ports, was) : NULL;

        if (port && port->lost > was->lost)
            port->lost = was->lost;
    }
}

static void take_peers(struct handover *handover, struct ports *ports)
{
    struct peer_kept peer;

    for (uint32_t i = 0; i < handover->header.peers; i++) {
        if (!state_read_peer(&handover->reader, &peer))
            return;
        peers_take_kept(&ports->pool.service->peers, &peer, loop_now(ports->pool.loop));
    }
}

// Who guesses gains nothing by a restart.
static void take_gate(const struct handover *handover, struct gate *gate)
{
    gate->wrong_count = handover->header.wrong_count;
    memcpy(gate->wrong, handover->header.wrong, sizeof gate->wrong);
}

void handover_take(struct handover *handover, struct ports *ports, bool trial)
{
    struct pool *pool = &ports->pool;

    if (!handover_comes(handover))
        return;
    if (!handover->problem) {
        pool->service->counters = handover->header.counters;
        pool->loop->turns = handover->header.counters.wakeups;
        pool->logged = handover->header.logged;
        take_gate(handover, pool->service->gate);
        budget_take_kept(&pool->service->peers.budget, &handover->header.budget);
        take_lost(handover, ports);
        take_peers(handover, ports);
        take_datagrams(handover, ports);
    }
    take_connections(handover, ports, trial);
    handover_close(handover);
}

void handover_close(struct handover *handover)
{
    for (uint32_t i = 0; i < handover->header.ports; i++)
        if (handover->ports[i].fd >= 0)
            close(handover->ports[i].fd);
    for (int i = 0; i < HANDOVER_PROCESS_MAX; i++)
        if (handover->process[i] >= 0)
            close(handover->process[i]);
    free(handover->ports);
    arrival_close(&handover->arrival);
    *handover = (struct handover){.arrival = {.socket = -1}, .process = {-1, -1}};
}
