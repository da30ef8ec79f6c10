// SPDX-License-Identifier: MIT
// Any command line: it is right and every value is within its bounds, or there is one line that
// says what is wrong. The words are separated by NULs.
#include "fuzz.h"

#include "core/options.h"

enum { WORDS_MAX = 100, BYTES_MAX = 4096 };

static void check_ports(const struct options *options)
{
    fuzz_must(options->endpoint_count >= 1 && options->endpoint_count <= ENDPOINTS_MAX);
    for (size_t i = 0; i < options->bind_count; i++) {
        const struct bind *bind = &options->bind[i];

        fuzz_must(bind->address.port == 0 && bind->address.scope == 0);
        fuzz_must(bind->endpoint < options->endpoint_count);
        fuzz_must(memchr(bind->interface, 0, sizeof bind->interface));
    }
    for (size_t i = 0; i < options->endpoint_count; i++) {
        const struct endpoint *endpoint = &options->endpoint[i];

        fuzz_must(endpoint->role_length > 0 && endpoint->role_length <= strlen(endpoint->role));
        fuzz_must(endpoint->tcp_port <= 65535 && endpoint->udp_port <= 65535);
        fuzz_must(endpoint->tcp || endpoint->udp);
    }
}

static void check_probe(const struct probe *probe)
{
    fuzz_must(!probe->text || (probe->address.port > 0 && probe->address.scope == 0));
    fuzz_must(memchr(probe->interface, 0, sizeof probe->interface));
}

static void check(const struct options *options)
{
    if (options->help || options->version)
        return;
    fuzz_must(options->tcp_port <= 65535 && options->udp_port <= 65535);
    fuzz_must(options->max_tcp >= 1 && options->max_tcp <= 1000000);
    fuzz_must(options->backlog >= 1 && options->backlog <= 65535);
    fuzz_must(options->max_line >= 1 && options->max_line <= MAX_LINE_LIMIT);
    fuzz_must(options->max_datagram >= 1 && options->max_datagram <= MAX_DATAGRAM_LIMIT);
    fuzz_must(options->idle_timeout <= 86400 * 365 && options->line_timeout <= 86400 * 365);
    fuzz_must(options->drain_timeout <= 86400 && options->socket_buffer <= 1 << 30);
    fuzz_must(options->bind_count <= BINDS_MAX && options->log_level <= LOG_DEBUG);
    fuzz_must(!options->token_file || *options->token_file);
    check_ports(options);
    check_probe(&options->probe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char name[] = "epoll-echo";
    char words[BYTES_MAX + 1] = "", room[256];
    char *argv[WORDS_MAX + 2] = {name};
    struct text error = text_in(room, sizeof room);
    struct options options;
    int argc = 1;

    if (size > BYTES_MAX)
        return 0;
    if (size > 0)
        memcpy(words, data, size);
    for (size_t at = 0; at < size && argc <= WORDS_MAX; at += strlen(words + at) + 1)
        argv[argc++] = words + at;
    argv[argc] = NULL;
    if (options_parse(&options, argc, argv, &error)) {
        fuzz_must(error.length == 0 && !error.cut);
        check(&options);
    } else {
        fuzz_must(error.length > 0 && !error.cut);
    }
    return 0;
}
