// SPDX-License-Identifier: MIT
// The role http and its parser: requests that there are, and those that are none.
#include "unit.h"

#include "core/http.h"
#include "core/metrics.h"
#include "roles/role.h"

static struct facts facts;
static char buffer[TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES];

BEFORE_EACH
{
    facts = (struct facts){.max_tcp = 1024};
}

// What the role answers to REQUEST; ENDED: FIN behind it. Empty: it waits for more.
static const char *answer(const char *request, size_t length, bool ended)
{
    static char text[TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES];
    char *exact = malloc(length + 1);
    struct memory memory = {.discarding = false};
    struct turn turn = {.input = memcpy(exact, request, length),
                        .length = length,
                        .ended = ended,
                        .max_line = role_http.most,
                        .reply.buffer = buffer};
    enum outcome outcome = role_http.stream(&memory, &turn);

    if (outcome == TURN_FACTS) {
        turn.facts = &facts;
        outcome = role_http.stream(&memory, &turn);
    }
    assert_true(turn_within_bounds(&turn, outcome));
    assert_int_equal(turn.begun, NOTHING_BEGUN);
    assert_int_equal(outcome, turn.reply.length > 0 ? TURN_CLOSE : TURN_MORE);
    assert_int_equal(turn.done, turn.reply.length > 0 ? length : 0);
    memcpy(text, turn.reply.bytes ? turn.reply.bytes : "", turn.reply.length);
    text[turn.reply.length] = '\0';
    free(exact);
    return text;
}

static unsigned status_of(const char *request)
{
    const char *text = answer(request, strlen(request), false);
    unsigned status = 0;

    if (*text)
        assert_int_equal(sscanf(text, "HTTP/1.1 %u ", &status), 1);
    return status;
}

static const struct {
    unsigned status;
    const char *request;
} row[] = {
    {200, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"},
    {200, "GET /healthz HTTP/1.0\r\n\r\n"},
    {200, "HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n"},
    {200, "GET /metrics?x=/y HTTP/1.1\n\n"},
    {200, "\r\n\r\nGET http://host:9100/livez HTTP/1.1\r\n\r\n"},
    {200, "GET /livez HTTP/1.9\r\n\r\n"},
    {200, "GET /livez HTTP/1.1\r\nX: \x80\xff\r\n folded\r\n\r\nbody"},
    {404, "GET / HTTP/1.1\r\n\r\n"},
    {404, "GET /livez/ HTTP/1.1\r\n\r\n"},
    {404, "GET http://host HTTP/1.1\r\n\r\n"},
    {404, "GET /LIVEZ HTTP/1.1\r\n\r\n"},
    {405, "POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
    {405, "OPTIONS * HTTP/1.0\r\n\r\n"},
    {405, "get /livez HTTP/1.1\r\n\r\n"}, // methods have a case
    {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {505, "GET /livez HTTP/3.0\r\n\r\n"},
    {400, "GET /livez\r\n"},
    {400, "GET /livez HTTP/1\r\n"},
    {400, "GET /livez HTTP/1.1 \r\n"},
    {400, "GET  /livez HTTP/1.1\r\n"},
    {400, "GET /livez HTTP/1,1\r\n"},
    {400, "GET /livez HTTX/1.1\r\n"},
    {400, "GET /livez HTTP/x.1\r\n"},
    {400, " /livez HTTP/1.1\r\n"},
    {400, "hello\n"},
    {400, "\x16\x03\x01\x02"}, // TLS
    {400, "GET /\x7f"},
    {0, ""},
    {0, "\r\n"},
    {0, "GET /livez HTTP/1.1\r"},
    {0, "GET /livez HTTP/1.1\r\nHost: a\r\n\r"},
    {0, "POST /livez HTTP/1.1\r\n"},
};

TEST(requests_have_their_status)
{
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        if (status_of(row[i].request) != row[i].status)
            fail_msg("%u, not %u: %s", status_of(row[i].request), row[i].status, row[i].request);
}

// Once there is a verdict, more bytes do not change it, and a shorter beginning has none or the
// same.
TEST(pieces_do_not_change_the_verdict)
{
    static const char *const request[] = {
        "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\n\r\nx",
        "PUT / HTTP/1.1\r\nA: b\r\n\r\nx", "bad\r\n\r\n", "GE\x01 / HTTP/1.1\r\n\r\n"};

    for (size_t i = 0; i < ARRAY_LENGTH(request); i++) {
        enum http_status before = HTTP_MORE;

        for (size_t length = 0; length <= strlen(request[i]); length++) {
            enum http_status status = http_parse(request[i], length).status;

            assert_true(before == HTTP_MORE || status == before);
            before = status;
        }
        assert_int_not_equal(before, HTTP_MORE);
    }
}

TEST(a_head_has_a_bound)
{
    static char request[HTTP_MAX_BYTES + 1];
    static const char start[] = "GET /livez HTTP/1.1\r\nCookie: ";

    memset(request, 'x', sizeof request);
    memcpy(request, start, strlen(start));
    assert_int_equal(http_parse(request, HTTP_MAX_BYTES - 1).status, HTTP_MORE);
    assert_int_equal(http_parse(request, HTTP_MAX_BYTES).status, HTTP_TOO_LARGE);
    memcpy(request + HTTP_MAX_BYTES - 4, "\r\n\r\n", 4);
    assert_int_equal(http_parse(request, HTTP_MAX_BYTES).status, HTTP_OK);
    memcpy(request + HTTP_MAX_BYTES - 4, "x\r\n\r\n", 5);
    assert_int_equal(http_parse(request, sizeof request).status, HTTP_TOO_LARGE);
}

TEST(who_ends_in_the_midst_has_a_bad_request)
{
    static const char half[] = "GET /livez HTTP/1.1\r\n";

    assert_non_null(strstr(answer(half, strlen(half), true), "HTTP/1.1 400 Bad Request\r\n"));
    assert_string_equal(answer("", 0, true), ""); // nothing was asked
}

TEST(an_answer_is_whole)
{
    static const char get[] = "GET /readyz HTTP/1.1\r\n\r\n",
                      head[] = "HEAD /readyz HTTP/1.1\r\n\r\n";

    assert_string_equal(
        answer(get, strlen(get), false),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: 6\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nready\n");
    facts.draining = true;
    assert_string_equal(answer(head, strlen(head), false),
                        "HTTP/1.1 503 Service Unavailable\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer("PUT / HTTP/1.1\n\n", 16, false), "\r\nAllow: GET, HEAD\r\n"));
}

// All numbers as large as they get: the page fits, and is as long as it says.
TEST(the_longest_page_fits)
{
    static const char get[] = "GET /metrics HTTP/1.1\r\n\r\n";
    size_t length;

    memset(&facts.counters, 0xff, sizeof facts.counters);
    memset(&facts.usage, 0xff, sizeof facts.usage);
    const char *text = answer(get, strlen(get), false);
    const char *body = strstr(text, "\r\n\r\n") + 4;
    assert_int_equal(sscanf(strstr(text, "Content-Length: "), "Content-Length: %zu", &length), 1);
    assert_int_equal(strlen(body), length);
    assert_non_null(strstr(body, "\nprocess_start_time_seconds 18446744073709551.615\n"));
    assert_non_null(strstr(body, "\nprocess_cpu_seconds_total 18446744073.709551615\n"));
    assert_non_null(strstr(body, "\nepoll_echo_connections 4294967295\n"));
    assert_non_null(strstr(
        body, "\nepoll_echo_connections_closed_total{reason=\"proxy\"} 18446744073709551615\n"));
}

TEST(what_is_not_known_is_not_told)
{
    char room[8192];
    struct text page = text_in(room, sizeof room);

    facts.draining = true;
    metrics_page(&facts, &page);
    assert_null(strstr(text_end(&page), "process_"));
    assert_non_null(strstr(room, "\nepoll_echo_draining 1\n"));
    assert_non_null(strstr(room, "\nepoll_echo_commands_total{command=\"unknown\"} 0\n"));
    facts.usage.resident_bytes = 4096;
    page = text_in(room, sizeof room);
    metrics_page(&facts, &page);
    assert_non_null(strstr(text_end(&page), "\n# TYPE process_resident_memory_bytes gauge\n"
                                            "process_resident_memory_bytes 4096\n"));
    assert_null(strstr(room, "process_open_fds"));
}
