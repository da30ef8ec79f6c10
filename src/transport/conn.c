// SPDX-License-Identifier: MIT
#include "transport/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/stream.h"
#include "ground/log.h"
#include "ground/util.h"
#include "system/net.h"

// What only a connection needs that is in the midst of something.
struct held {
    struct conn *conn;
    struct timeout line; // runs while a begun line is waited for
    struct stream stream;
    bool busy;           // not admitted
    bool ended;          // the client has sent FIN: close when all is answered and sent
    bool closing;        // end the connection when all is sent
    bool paused;         // the input has whole lines that are to be answered in the next turn
    bool leaving;        // all is handed to the kernel, which has not sent all of it yet
    size_t room;         // bytes
    size_t sent, output; // bytes[sent .. output) is unsent
    size_t input;        // and as many bytes from `output` on are unanswered
    char bytes[];
};

_Static_assert(sizeof(struct conn) <= 56,
               "an idle connection is one cache line with malloc's word");

enum { HELD_ROOM_MIN = 64 };

static bool owes(const struct conn *conn)
{
    const struct held *held = conn->held;

    return held && (held->sent < held->output || held->paused || held->leaving);
}

static bool busy(const struct conn *conn)
{
    return conn->held && conn->held->busy;
}

// Makes conn->held have room for SIZE bytes, and not much more; the first SIZE bytes that it holds
// are kept. False without memory.
static bool reserve(struct conn *conn, size_t size)
{
    struct held *held = conn->held;
    size_t room = HELD_ROOM_MIN;

    while (room < size)
        room *= 2;
    if (held && held->room >= room && held->room / 4 <= room)
        return true;
    bool running = held && timeout_running(&held->line);
    struct held *moved = realloc(held, sizeof *held + room);
    if (!moved)
        return false;
    if (!held)
        *moved = (struct held){.conn = conn};
    moved->room = room;
    if (running)
        list_moved(&moved->line.link);
    else
        timeout_init(&moved->line);
    conn->held = moved;
    return true;
}

static void drop_held(struct conn *conn)
{
    if (conn->held)
        timeout_stop(&conn->held->line);
    free(conn->held);
    conn->held = NULL;
}

static void log_conn(const struct conn *conn, const char *message, const char *reason)
{
    struct address peer;

    if (!log_enabled(LOG_DETAIL))
        return;
    bool known = net_peer(conn->watch.fd, &peer) == 0; // not after a reset
    log_limited(LOG_DETAIL, message, "proto", "tcp", "peer", known ? ADDRESS_STRING(&peer) : NULL,
                "fd", LOG_NUMBER(conn->watch.fd), "reason", reason, NULL);
}

void conn_close(struct conn *conn, const char *reason)
{
    struct tcp *tcp = conn->tcp;

    log_conn(conn, "closed", reason);
    if (busy(conn))
        tcp->busy--;
    else
        tcp->service->counters.connected_tcp--;
    tcp->freed = true;
    timeout_stop(&conn->idle);
    drop_held(conn);
    loop_remove(tcp->loop, &conn->watch);
    close(conn->watch.fd); // on Linux the descriptor is free whatever close(2) returns
    free(conn);
}

// A byte went one way or the other.
static void touch(struct conn *conn)
{
    struct tcp *tcp = conn->tcp;

    if (tcp->idle.after != TICKS_NEVER && !busy(conn))
        timeouts_start(&tcp->idle, &conn->idle, loop_now(tcp->loop));
}

// Waits for EVENTS, one of EPOLLIN and EPOLLOUT. AGAIN: it may be ready already, and edge-triggered
// that has to be reported once more. Only what is waited for is ever registered: with EPOLLIN in
// the mask, a client that does not read its answers would be reported for as long as it sends.
// May close CONN.
static void wait_for(struct conn *conn, uint32_t events, bool again)
{
    struct loop *loop = conn->tcp->loop;
    bool edge = conn->tcp->options->edge;

    if (edge)
        events |= events == EPOLLIN ? EPOLLET | EPOLLRDHUP | EPOLLPRI : EPOLLET;
    if ((events != (conn->watch.events & ~LOOP_LATER) || (edge && again)) &&
        loop_change(loop, &conn->watch, events) < 0)
        conn_close(conn, strerror(errno));
}

static void goodbye_ready(struct watch *watch, uint32_t events)
{
    struct conn *conn = container_of(watch, struct conn, watch);
    ssize_t got = recv(watch->fd, conn->tcp->input, READ_MAX_BYTES, 0);

    (void)events;
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
        wait_for(conn, EPOLLIN, got > 0 || errno == EINTR);
    else
        conn_close(conn, "goodbye");
}

// All is sent. A close(2) now would turn what the client has not read yet into a reset if
// it is still sending; so only our side ends, and input is discarded until the client's side ends.
static void say_goodbye(struct conn *conn)
{
    struct tcp *tcp = conn->tcp;

    if (shutdown(conn->watch.fd, SHUT_WR) < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    if (conn->held)
        timeout_stop(&conn->held->line);
    conn->watch.ready = goodbye_ready;
    timeouts_start(&tcp->goodbye, &conn->idle, loop_now(tcp->loop));
    wait_for(conn, EPOLLIN, true);
}

static void part(struct conn *conn, bool ended)
{
    if (ended)
        conn_close(conn, "end of input"); // nothing unread: FIN and not a reset
    else
        say_goodbye(conn);
}

// Ends a connection that is owed nothing more; ENDED: the client has sent FIN. What the kernel has
// not sent yet is waited for, without a limit but those of every client that does not read: it
// would be lost by the end of a goodbye, or with a socket that nobody owns (tcp(7),
// tcp_orphan_retries).
static void leave(struct conn *conn, bool ended)
{
    if (net_unsent(conn->watch.fd) == 0 || busy(conn)) {
        part(conn, ended);
        return;
    }
    if (net_writable_when_sent(conn->watch.fd) < 0 || !reserve(conn, 0)) {
        conn_close(conn, strerror(errno));
        return;
    }
    struct held *held = conn->held;
    timeout_stop(&held->line);
    held->leaving = true;
    held->ended = ended;
    held->paused = false;
    held->sent = held->output = held->input = 0;
    wait_for(conn, EPOLLOUT, true);
}

// Sends what goes without waiting: the number of bytes, or -1 with errno if the connection is lost.
static ssize_t send_some(struct conn *conn, const char *bytes, size_t length)
{
    if (length == 0)
        return 0;
    ssize_t sent = send(conn->watch.fd, bytes, length, MSG_NOSIGNAL);
    if (sent > 0)
        touch(conn);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void log_turn(const struct conn *conn, const struct input *input, size_t answered,
                     size_t sent)
{
    if (log_enabled(LOG_DEBUG))
        log_limited(LOG_DEBUG, "turn", "proto", "tcp", "fd", LOG_NUMBER(conn->watch.fd), "input",
                    LOG_NUMBER(input->length), "unanswered",
                    LOG_NUMBER(input->length - input->done), "answer", LOG_NUMBER(answered), "sent",
                    LOG_NUMBER(sent), NULL);
}

// What a turn leaves behind.
struct rest {
    const char *output;
    size_t output_length;
    const struct input *input;
    struct stream stream;
    enum stream_status status;
};

static size_t unanswered(const struct rest *rest)
{
    return rest->status == STREAM_CLOSE ? 0 : rest->input->length - rest->input->done;
}

static void time_line(struct conn *conn, const struct rest *rest)
{
    struct tcp *tcp = conn->tcp;
    struct held *held = conn->held;

    if (owes(conn) || (held->input == 0 && !held->stream.discarding))
        timeout_stop(&held->line);
    else if (!timeout_running(&held->line) ||
             memchr(rest->input->bytes, '\n', rest->input->length)) // not the line of before
        timeouts_start(&tcp->line, &held->line, loop_now(tcp->loop));
}

// Keeps the rest in conn->held, or nothing at all if there is none. False without memory.
static bool keep(struct conn *conn, const struct rest *rest)
{
    size_t input = unanswered(rest);
    const struct stream *stream = &rest->stream;

    // A turn that was used up leaves input, and a connection that is to end is kept for its output.
    if (rest->output_length + input == 0 && !stream->discarding && !stream->overlong_before) {
        drop_held(conn);
        return true;
    }
    if (!reserve(conn, rest->output_length + input))
        return false;
    struct held *held = conn->held;
    held->stream = *stream;
    held->ended = rest->input->ended;
    held->closing = rest->status == STREAM_CLOSE;
    held->paused = rest->status == STREAM_PAUSE;
    held->sent = 0;
    held->output = rest->output_length;
    held->input = input;
    if (held->output > 0)
        memcpy(held->bytes, rest->output, held->output);
    if (input > 0)
        memcpy(held->bytes + held->output, rest->input->bytes + rest->input->done, input);
    time_line(conn, rest);
    return true;
}

// All that was read is answered. Is there nothing more in the socket, not even FIN?
static bool nothing_received(const struct conn *conn)
{
    char byte;
    ssize_t got;

    // Asked once more at once: epoll would not report that there is nothing.
    do
        got = recv(conn->watch.fd, &byte, 1, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    return got < 0;
}

// The connection waits to read; AGAIN as for wait_for: there may be more to read already.
static void wait_to_read(struct conn *conn, bool again)
{
    if (!conn->tcp->draining)
        wait_for(conn, EPOLLIN, again);
    else if (nothing_received(conn))
        leave(conn, false);
    else
        wait_for(conn, EPOLLIN, true);
}

// Sends REPLY and settles what the connection does next. AGAIN as for wait_for.
static void settle(struct conn *conn, struct rest *rest, bool again)
{
    ssize_t sent = send_some(conn, rest->output, rest->output_length);

    if (sent < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    log_turn(conn, rest->input, rest->output_length, (size_t)sent);
    rest->output += sent;
    rest->output_length -= (size_t)sent;
    bool owed = rest->output_length > 0 || rest->status == STREAM_PAUSE;
    // Whoever asks for little does not wait for a round of those who ask for much.
    loop_later(conn->tcp->loop, &conn->watch,
               rest->status == STREAM_PAUSE || rest->input->length >= LONG_TURN_BYTES);
    if (!owed && (rest->input->ended || rest->status == STREAM_CLOSE))
        leave(conn, rest->input->ended);
    else if (!keep(conn, rest))
        conn_close(conn, "no memory");
    else if (owed)
        wait_for(conn, EPOLLOUT, true);
    else
        wait_to_read(conn, again);
}

static struct facts find_facts(const struct conn *conn)
{
    struct tcp *tcp = conn->tcp;
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time); // cannot fail for this clock
    struct facts facts = service_facts(tcp->service, PROTOCOL_TCP, loop_now(tcp->loop), time);
    // After a reset there is no peer any more, and nobody to read the answer either.
    if (net_peer(conn->watch.fd, &facts.peer) < 0)
        facts.peer = (struct address){.port = 0};
    if (net_local(conn->watch.fd, &facts.local) < 0)
        facts.local = (struct address){.port = 0};
    return facts;
}

// Answers the LENGTH bytes in tcp->input. AGAIN as for wait_for.
static void answer(struct conn *conn, size_t length, bool ended, bool again)
{
    struct tcp *tcp = conn->tcp;
    struct input input = {.bytes = tcp->input, .length = length, .ended = ended};
    struct reply reply = {.buffer = tcp->output};
    struct facts facts = {.known = false};
    struct rest rest = {.input = &input};

    if (conn->held)
        rest.stream = conn->held->stream;
    do {
        rest.status = stream_answer(&rest.stream, tcp->options->max_line, &input, &facts,
                                    &tcp->service->gate, &reply);
        if (rest.status == STREAM_FACTS)
            facts = find_facts(conn);
    } while (rest.status == STREAM_FACTS);
    rest.output = reply.bytes;
    rest.output_length = reply.length;
    settle(conn, &rest, again);
}

// The rest of the bytes in conn->held are an unfinished line, and so are the GOT bytes after it:
// adds them, in time that does not depend on what was there before. False if that does not hold.
static bool lengthen_line(struct conn *conn, const char *fresh, size_t got)
{
    struct held *held = conn->held;

    if (!held || held->input == 0 || !timeout_running(&held->line) ||
        held->input + got > conn->tcp->options->max_line || memchr(fresh, '\n', got) ||
        !reserve(conn, held->output + held->input + got))
        return false;
    held = conn->held;
    memcpy(held->bytes + held->output + held->input, fresh, got);
    held->input += got;
    return true;
}

static void read_turn(struct conn *conn, uint32_t events)
{
    struct tcp *tcp = conn->tcp;
    struct held *held = conn->held;
    size_t before = held ? held->input : 0;
    ssize_t got = recv(conn->watch.fd, tcp->input + before, READ_MAX_BYTES, 0);

    bool ended = got == 0;
    // A short read has emptied the socket, unless FIN or urgent data stands behind (epoll(7)).
    bool again = got == READ_MAX_BYTES || (got > 0 && (events & (EPOLLRDHUP | EPOLLPRI)));

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        again = errno == EINTR;
        got = 0; // what was held while output was owed is settled all the same
    } else if (got < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    if (got > 0)
        touch(conn);
    if (got > 0 && lengthen_line(conn, tcp->input + before, (size_t)got)) {
        wait_to_read(conn, again);
        return;
    }
    if (before > 0)
        memcpy(tcp->input, held->bytes + held->output, before);
    answer(conn, before + (size_t)got, ended, again);
}

// Goes on with a connection that owes.
static void write_turn(struct conn *conn, uint32_t events)
{
    struct held *held = conn->held;
    ssize_t sent = send_some(conn, held->bytes + held->sent, held->output - held->sent);

    if (sent < 0) {
        conn_close(conn, strerror(errno));
        return;
    }
    held->sent += (size_t)sent;
    if (held->leaving) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) // else it is from before it left
            part(conn, held->ended);
    } else if (held->sent < held->output) {
        wait_for(conn, EPOLLOUT, true);
    } else if (held->paused) {
        memcpy(conn->tcp->input, held->bytes + held->output, held->input);
        answer(conn, held->input, held->ended, true);
    } else if (held->ended || held->closing) {
        leave(conn, held->ended);
    } else {
        read_turn(conn, events);
    }
}

static void conn_ready(struct watch *watch, uint32_t events)
{
    struct conn *conn = container_of(watch, struct conn, watch);

    if (owes(conn))
        write_turn(conn, events);
    else
        read_turn(conn, events);
}

static void say_busy(struct conn *conn)
{
    struct input none = {.length = 0};
    struct rest rest = {.output = ANSWER_BUSY,
                        .output_length = strlen(ANSWER_BUSY),
                        .input = &none,
                        .status = STREAM_CLOSE};

    settle(conn, &rest, false);
}

static struct conn *create(struct tcp *tcp, int fd, bool admitted)
{
    struct conn *conn = malloc(sizeof *conn);

    if (!conn)
        return NULL;
    *conn = (struct conn){.watch = {.ready = conn_ready, .fd = fd}, .tcp = tcp};
    timeout_init(&conn->idle);
    if (!admitted && !reserve(conn, strlen(ANSWER_BUSY))) {
        free(conn);
        return NULL;
    }
    if (loop_add(tcp->loop, &conn->watch,
                 tcp->options->edge ? EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET : EPOLLIN) < 0) {
        drop_held(conn);
        free(conn);
        return NULL;
    }
    return conn;
}

void conn_open(struct tcp *tcp, int fd, bool admitted)
{
    struct conn *conn = create(tcp, fd, admitted);

    if (!conn) {
        log_limited(LOG_WARNING, "connection refused", "proto", "tcp", "error", strerror(errno),
                    NULL);
        close(fd);
        return;
    }
    // One that is not admitted has a goodbye's time for all of it.
    timeouts_start(admitted ? &tcp->idle : &tcp->goodbye, &conn->idle, loop_now(tcp->loop));
    log_conn(conn, admitted ? "connected" : "busy", NULL);
    if (admitted) {
        tcp->service->counters.total_clients++;
        tcp->service->counters.connected_tcp++;
        return;
    }
    tcp->service->counters.busy_tcp++;
    tcp->busy++;
    conn->held->busy = true;
    say_busy(conn);
}

void conn_line_over(struct timeout *line)
{
    conn_close(container_of(line, struct held, line)->conn, "line timeout");
}

void conn_idle_over(struct timeout *idle)
{
    struct conn *conn = container_of(idle, struct conn, idle);

    uint64_t allowed = (uint64_t)conn->tcp->options->idle_timeout * 1000 - TICK_MILLISECONDS;

    // A slow reader is not idle: bytes that the kernel sends for us are bytes too.
    if (net_silent_milliseconds(conn->watch.fd) < allowed) {
        touch(conn);
        return;
    }
    conn_close(conn, "idle timeout");
}

void conn_drain(struct conn *conn)
{
    if (!owes(conn))
        read_turn(conn, 0);
}
