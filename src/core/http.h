// SPDX-License-Identifier: MIT
// http: the head of an HTTP/1.x request (RFC 9112), as far as one needs it that answers GET and
// HEAD and closes: the request line, and where the header fields end. A body is nobody's business.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { HTTP_MAX_BYTES = 8192 }; // a head, all of it

// Statuses of RFC 9110, section 15, and RFC 6585, section 5.
enum http_status {
    HTTP_MORE = 0, // the head has not come whole
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_NOT_FOUND = 404,
    HTTP_NOT_ALLOWED = 405,
    HTTP_TOO_LARGE = 431,
    HTTP_UNAVAILABLE = 503,
    HTTP_NO_SUCH_VERSION = 505,
};

struct http_request {
    // HTTP_OK: a GET or HEAD of PATH. HTTP_MORE, or another one: what is wrong with it.
    enum http_status status;
    bool head;        // the answer is to have no body
    const char *path; // within the bytes, without a query
    size_t path_length;
};

// Reads the head that BYTES begin with. However it comes in pieces, the verdict is the same.
struct http_request http_parse(const char *bytes, size_t length);
