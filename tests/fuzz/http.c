// SPDX-License-Identifier: MIT
// Any bytes as an HTTP request: the verdict is the same however they come in pieces, nothing beyond
// them is read, and there is one once 8 KiB have come.
#include "fuzz.h"

#include "core/http.h"

enum { EACH_CUT = 128, CUTS = 8, PADDING = 64, LONGEST = 1 << 16 };

// Of the first LENGTH bytes, in a block of memory that ends with them; the path as an offset.
struct verdict {
    enum http_status status;
    bool head;
    size_t path, path_length;
};

static struct verdict parse(const char *given, size_t length)
{
    char *bytes = malloc(length + 1);

    if (!bytes)
        abort();
    memcpy(bytes + 1, given, length);
    struct http_request request = http_parse(bytes + 1, length);
    struct verdict verdict = {.status = request.status};
    fuzz_must(length < HTTP_MAX_BYTES || request.status != HTTP_MORE);
    if (request.status == HTTP_OK) {
        verdict.head = request.head;
        verdict.path = (size_t)(request.path - bytes - 1);
        verdict.path_length = request.path_length;
        fuzz_must(request.path > bytes && verdict.path + verdict.path_length <= length);
        fuzz_must(!memchr(request.path, '?', request.path_length));
        fuzz_must(!memchr(request.path, ' ', request.path_length));
        fuzz_must(!memchr(request.path, '\n', request.path_length));
    }
    free(bytes);
    return verdict;
}

static void must_say_the_same(struct verdict a, struct verdict b)
{
    fuzz_must(a.status == b.status && a.head == b.head);
    fuzz_must(a.path == b.path && a.path_length == b.path_length);
}

static void must_be_for_any_cut(const char *bytes, size_t size)
{
    struct verdict all = parse(bytes, size);

    for (size_t length = 0; length < size; length += length < EACH_CUT ? 1 : 1 + size / CUTS) {
        struct verdict verdict = parse(bytes, length);

        if (verdict.status != HTTP_MORE)
            must_say_the_same(verdict, all);
    }
    if (size > HTTP_MAX_BYTES)
        must_say_the_same(parse(bytes, HTTP_MAX_BYTES), all);
}

// The first byte says how much there is between the first line and the others.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[LONGEST];
    struct fuzz fuzz = {data, size};
    size_t padding = fuzz_byte(&fuzz) * (size_t)PADDING;

    if (fuzz.left + padding > sizeof bytes)
        return 0;
    const uint8_t *end = fuzz.left > 0 ? memchr(fuzz.at, '\n', fuzz.left) : NULL;
    size_t line = end ? (size_t)(end - fuzz.at) + 1 : fuzz.left;
    memcpy(bytes, fuzz.at, line);
    memset(bytes + line, 'c', padding);
    memcpy(bytes + line + padding, fuzz.at + line, fuzz.left - line);
    must_be_for_any_cut(bytes, fuzz.left + padding);
    return 0;
}
