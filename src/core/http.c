// SPDX-License-Identifier: MIT
#include "core/http.h"

#include <string.h>

#include "ground/util.h"

// A part of the head.
struct part {
    const char *bytes;
    size_t length;
};

static bool is(struct part part, const char *text)
{
    return part.length == strlen(text) && memcmp(part.bytes, text, part.length) == 0;
}

static bool begins(struct part part, const char *text)
{
    return part.length >= strlen(text) && memcmp(part.bytes, text, strlen(text)) == 0;
}

// Takes what stands before BYTE, and BYTE, out of REST; all of REST if there is no such byte.
static struct part take(struct part *rest, char byte)
{
    const char *end = memchr(rest->bytes, byte, rest->length);
    struct part taken = {rest->bytes, end ? (size_t)(end - rest->bytes) : rest->length};
    size_t passed = end ? taken.length + 1 : taken.length;

    rest->bytes += passed;
    rest->length -= passed;
    return taken;
}

static struct part without_cr(struct part line)
{
    if (line.length > 0 && line.bytes[line.length - 1] == '\r')
        line.length--;
    return line;
}

// Printable, and the blanks between the three parts of a request line: else it is no HTTP at all.
static bool printable(struct part part)
{
    for (size_t i = 0; i < part.length; i++)
        if (part.bytes[i] < ' ' || part.bytes[i] > '~')
            return false;
    return true;
}

// HTTP_OK for HTTP/1.0, 1.1 and what will be compatible to them (RFC 9110, section 2.5).
static enum http_status judge_version(struct part version)
{
    if (!begins(version, "HTTP/") || version.length != strlen("HTTP/1.1") ||
        version.bytes[5] < '0' || version.bytes[5] > '9' || version.bytes[6] != '.' ||
        version.bytes[7] < '0' || version.bytes[7] > '9')
        return HTTP_BAD_REQUEST;
    return version.bytes[5] == '1' ? HTTP_OK : HTTP_NO_SUCH_VERSION;
}

// The path of a request's target, which may be a whole address (RFC 9112, section 3.2.2).
static struct part path_of(struct part target)
{
    static const char scheme[] = "http://";

    if (begins(target, scheme)) {
        target.bytes += strlen(scheme);
        target.length -= strlen(scheme);
        const char *slash = memchr(target.bytes, '/', target.length);
        size_t host = slash ? (size_t)(slash - target.bytes) : target.length;

        target.bytes += host;
        target.length -= host;
    }
    return take(&target, '?');
}

static struct http_request judge(struct part line)
{
    struct part rest = line, method = take(&rest, ' '), target = take(&rest, ' ');
    struct part path = path_of(target);
    struct http_request request = {.status = HTTP_BAD_REQUEST,
                                   .head = is(method, "HEAD"),
                                   .path = path.bytes,
                                   .path_length = path.length};

    if (!printable(line) || method.length == 0 || target.length == 0)
        return request;
    request.status = judge_version(rest);
    if (request.status == HTTP_OK && !request.head && !is(method, "GET"))
        request.status = HTTP_NOT_ALLOWED;
    return request;
}

// Whether REST, what follows the request line, has the empty line in which a head ends.
static bool ends(struct part rest)
{
    while (memchr(rest.bytes, '\n', rest.length))
        if (without_cr(take(&rest, '\n')).length == 0)
            return true;
    return false;
}

struct http_request http_parse(const char *bytes, size_t length)
{
    static const struct http_request more = {.status = HTTP_MORE};
    static const struct http_request too_large = {.status = HTTP_TOO_LARGE};
    struct part rest = {bytes, size_min(length, HTTP_MAX_BYTES)};

    // RFC 9112, section 2.2: an empty line before the request line is left out.
    while (rest.length > 0 && (*rest.bytes == '\r' || *rest.bytes == '\n'))
        rest.bytes++, rest.length--;
    bool whole = rest.length > 0 && memchr(rest.bytes, '\n', rest.length);
    struct part line = without_cr(take(&rest, '\n'));
    struct http_request request = judge(line);
    if (whole ? request.status == HTTP_BAD_REQUEST || ends(rest) : !printable(line))
        return request;
    return length >= HTTP_MAX_BYTES ? too_large : more;
}
