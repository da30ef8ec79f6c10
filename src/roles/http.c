// SPDX-License-Identifier: MIT
// http: pages about the server, for Prometheus and for whoever asks whether it is alive and ready.
// One request, one answer, and the goodbye of every other connection.
#include "core/http.h"

#include <inttypes.h>
#include <string.h>

#include "core/metrics.h"
#include "ground/util.h"
#include "roles/role.h"

enum {
    HEAD_MAX_BYTES = 512,    // of an answer
    PAGE_MAX_BYTES = 1 << 16 // the metrics' page is about 6 KiB
};

_Static_assert(HEAD_MAX_BYTES + PAGE_MAX_BYTES <= TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES,
               "an answer fits behind the input that a turn's buffer has room for");

static const char plain[] = "text/plain; charset=utf-8";

static const struct {
    enum http_status status;
    const char *reason;
} reasons[] = {
    {HTTP_OK, "OK"},
    {HTTP_BAD_REQUEST, "Bad Request"},
    {HTTP_NOT_FOUND, "Not Found"},
    {HTTP_NOT_ALLOWED, "Method Not Allowed"},
    {HTTP_TOO_LARGE, "Request Header Fields Too Large"},
    {HTTP_UNAVAILABLE, "Service Unavailable"},
    {HTTP_NO_SUCH_VERSION, "HTTP Version Not Supported"},
};

static enum http_status page_live(const struct facts *facts, struct text *body)
{
    (void)facts;
    text_string(body, "live\n");
    return HTTP_OK;
}

static enum http_status page_ready(const struct facts *facts, struct text *body)
{
    text_string(body, facts->draining ? "drain\n" : "ready\n");
    return facts->draining ? HTTP_UNAVAILABLE : HTTP_OK;
}

static enum http_status page_metrics(const struct facts *facts, struct text *body)
{
    metrics_page(facts, body);
    return HTTP_OK;
}

static const struct page {
    const char *path, *type;
    enum http_status (*make)(const struct facts *facts, struct text *body);
} pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
    {"/livez", plain, page_live},
    {"/readyz", plain, page_ready},
    {"/healthz", plain, page_live},
};

static const struct page *find(const struct http_request *request)
{
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        if (strlen(pages[i].path) == request->path_length &&
            memcmp(pages[i].path, request->path, request->path_length) == 0)
            return &pages[i];
    return NULL;
}

static const char *reason_of(enum http_status status)
{
    size_t i = 0;

    while (reasons[i].status != status)
        i++;
    return reasons[i].reason;
}

// Puts the answer into the reply. HEAD has all but the body.
static void answer(struct reply *reply, enum http_status status, const char *type,
                   const struct text *body, bool head)
{
    struct text text = text_in(reply->buffer, HEAD_MAX_BYTES);

    text_format(&text, "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
                (unsigned)status, reason_of(status), type, body->length);
    if (status == HTTP_NOT_ALLOWED)
        text_string(&text, "Allow: GET, HEAD\r\n");
    text_string(&text, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
    reply->bytes = reply->buffer;
    reply->length = text.length;
    if (head)
        return;
    memmove(reply->buffer + text.length, body->bytes, body->length);
    reply->length += body->length;
}

static void put_error(struct text *body, enum http_status status)
{
    text_format(body, "%u %s\nThere are", (unsigned)status, reason_of(status));
    for (size_t i = 0; i < ARRAY_LENGTH(pages); i++)
        text_format(body, " %s", pages[i].path);
    text_string(body, ", for GET and HEAD of HTTP/1.\n");
}

static enum outcome http_stream(struct memory *memory, struct turn *turn)
{
    struct http_request request = http_parse(turn->input, turn->length);
    const struct page *page = request.status == HTTP_OK ? find(&request) : NULL;
    struct text body = text_in(turn->reply.buffer + HEAD_MAX_BYTES, PAGE_MAX_BYTES);
    enum http_status status = request.status == HTTP_OK ? HTTP_NOT_FOUND : request.status;

    (void)memory;
    turn->begun = NOTHING_BEGUN; // it has OBSERVING_SECONDS for all of it
    if (status == HTTP_MORE && turn->ended)
        status = HTTP_BAD_REQUEST;
    if (turn->length == 0 || status == HTTP_MORE)
        return TURN_MORE;
    if (page && !turn->facts)
        return TURN_FACTS;
    turn->done = turn->length;
    if (page)
        status = page->make(turn->facts, &body);
    else
        put_error(&body, status);
    answer(&turn->reply, status, page ? page->type : plain, &body, request.head);
    return TURN_CLOSE;
}

const struct role role_http = {
    .name = "http",
    .stream = http_stream,
    .observer = true,
    .most = HTTP_MAX_BYTES,
    .late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
};
