// SPDX-License-Identifier: MIT
#include "unit.h"

#include "line.h"
#include "payload.h"

enum { SIZE = 32, DEPTH = 8 };

static struct settings settings;
static struct results results;
static struct traffic *traffic;
static struct line *line;

static void create(void)
{
    results = (struct results){.started = 0};
    traffic = traffic_create(&settings, sizeof *traffic);
    traffic->flows.results = &results;
    struct flow *flow = flow_create(&traffic->flows, 3, line_bytes(traffic));
    line = container_of(flow, struct line, flow);
    line_init(line);
    pace_start(&traffic->flows.pace, 1000, 0, 100);
}

BEFORE_EACH
{
    settings = (struct settings){
        .connections = 1, .depth = DEPTH, .size = SIZE, .reply_size = SIZE, .verify = true};
    create();
}

AFTER_EACH
{
    flow_destroy(&line->flow);
    traffic_destroy(traffic);
}

// Messages FIRST to LAST as an echo sends them back.
static char *echo(uint64_t first, uint64_t last)
{
    static char bytes[64 * SIZE];

    for (uint64_t i = first; i <= last; i++)
        payload_write(bytes + (i - first) * SIZE, SIZE, 3, i);
    return bytes;
}

TEST(what_is_begun_is_owed)
{
    assert_int_equal(line_begin(line, 1000), DEPTH);
    assert_int_equal(line_owed(line), DEPTH * SIZE);
    assert_int_equal(line_begin(line, 1001), 0);
    assert_int_equal(traffic->flows.in_flight, DEPTH);
}

// However the bytes are cut into pieces.
TEST(answers_in_pieces)
{
    for (size_t piece = 1; piece <= DEPTH * SIZE; piece++) {
        unit_after_each();
        create();
        line_begin(line, 1000);
        const char *bytes = echo(0, DEPTH - 1);
        for (size_t at = 0; at < DEPTH * SIZE; at += piece)
            line_take(line, bytes + at, size_min(piece, DEPTH * SIZE - at), 1500);
        assert_int_equal(results.latency.total, DEPTH);
        assert_int_equal(results_faults(&results), 0);
        assert_int_equal(results.latency.max, 500);
        assert_int_equal(traffic->flows.in_flight, 0);
    }
}

TEST(latency_counts_from_each_beginning)
{
    line_begin(line, 1000);
    line_take(line, echo(0, 1), 2 * SIZE, 1100);
    assert_int_equal(line_begin(line, 1200), 2);
    line_take(line, echo(2, 7), 6 * SIZE, 1300);
    line_take(line, echo(8, 9), 2 * SIZE, 1350);
    assert_int_equal(results.latency.total, 10);
    assert_int_equal(results.latency.sum, 2 * 100 + 6 * 300 + 2 * 150);
    assert_int_equal(traffic->flows.answered, 1350);
}

static void expect(enum fault fault, uint64_t count)
{
    assert_int_equal(results.faults[fault], count);
    assert_int_equal(results_faults(&results), count);
}

TEST(more_than_was_asked_for)
{
    line_begin(line, 1000);
    line_take(line, echo(0, DEPTH + 1), (DEPTH + 2) * SIZE, 1100);
    expect(FAULT_UNEXPECTED, 2);
}

TEST(another_order)
{
    char bytes[2 * SIZE];

    line_begin(line, 1000);
    payload_write(bytes, SIZE, 3, 1);
    payload_write(bytes + SIZE, SIZE, 3, 0);
    line_take(line, bytes, sizeof bytes, 1100);
    expect(FAULT_REORDERED, 2);
}

static void refuse(const char *text, size_t piece)
{
    for (size_t at = 0; at < strlen(text) && !line->flow.ended; at += piece)
        line_take(line, text + at, size_min(piece, strlen(text) - at), 1100);
    expect(FAULT_REFUSED, 1);
    assert_non_null(strstr(results.first_fault, "the server says: ERR too-long-line"));
    assert_true(line->flow.ended);
    assert_int_equal(traffic->flows.alive, 0);
    assert_int_equal(traffic->flows.in_flight, 0);
}

// As the first that is said it may be as long as an answer, or longer.
TEST(a_refusal_at_once)
{
    for (unsigned size = 1; size <= SIZE; size++) {
        unit_after_each();
        settings.size = settings.reply_size = size;
        create();
        line_begin(line, 1000);
        refuse("ERR too-long-line\n", 100);
    }
}

TEST(a_refusal_after_answers)
{
    for (size_t piece = 1; piece <= 18; piece++) {
        unit_after_each();
        create();
        line_begin(line, 1000);
        line_take(line, echo(0, 2), 3 * SIZE, 1050);
        refuse("ERR too-long-line\n", piece);
        assert_int_equal(results.latency.total, 3);
    }
}

TEST(where_each_message_has_a_connection_the_next_is_tried)
{
    unit_after_each();
    settings.churn = true;
    settings.depth = 1;
    create();
    line_begin(line, 1000);
    line_fail(line, 0);
    expect(FAULT_CLOSED, 1);
    assert_false(line->flow.ended);
    assert_int_equal(line_begin(line, 2000), 0); // not before the next tick
    line->flow.paused = false;
    assert_int_equal(line_begin(line, 3000), 1);
    assert_int_equal(line_owed(line), SIZE);
    line_take(line, echo(1, 1), SIZE, 3100);
    assert_int_equal(results.latency.total, 1);
    assert_int_equal(results.latency.max, 100);
}

// What comes too late for one phase is not taken for an answer that an earlier time was noted for.
TEST(after_giving_up)
{
    settings.verify = false;
    line_begin(line, 1000);
    line_take(line, echo(0, 0), SIZE + 5, 1100);
    line_give_up(line);
    expect(FAULT_LOST, DEPTH - 1);
    assert_non_null(strstr(results.first_fault, "no whole answer to message 1"));
    line_begin(line, 50000);
    line_take(line, echo(0, 0) + 5, SIZE - 5, 50100);
    assert_int_equal(results.latency.max, 100);
}
