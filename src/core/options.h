// SPDX-License-Identifier: MIT
// options: the command line, made into values.
#ifndef OPTIONS_H
#define OPTIONS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"
#include "ground/log.h"
#include "ground/text.h"

enum { BINDS_MAX = 64, ENDPOINTS_MAX = 64, MAX_LINE_LIMIT = 1 << 20, MAX_DATAGRAM_LIMIT = 65507 };

struct bind {
    struct address address;      // without a port; its scope is not known yet
    char interface[IF_NAMESIZE]; // named after a '%', or empty
};

// A further port, as --listen asks for it. Its texts point into argv.
struct endpoint {
    const char *role;
    size_t role_length;
    bool bound; // to `bind`; else it serves every address
    struct bind bind;
    unsigned port;
    bool tcp, udp; // which protocols are asked for: both where none is named
};

struct options {
    bool help, version;
    unsigned port, tcp_port, udp_port; // the first is what the others are unless they are given
    bool one_port;      // neither is given: where the kernel chooses, it chooses once for both
    bool sockets_given; // --bind, --listen, --backlog or a port is named on the command line
    struct bind bind[BINDS_MAX];
    size_t bind_count; // 0: every address
    struct endpoint endpoint[ENDPOINTS_MAX];
    size_t endpoint_count;
    unsigned max_tcp, backlog;
    unsigned max_line, max_datagram;                    // bytes
    unsigned idle_timeout, line_timeout, drain_timeout; // seconds; 0 is never, or at once
    bool edge;                                          // --trigger=edge
    unsigned socket_buffer;                             // bytes; 0: the kernel's choice
    const char *token_file;                             // NULL: none named; points into argv
    enum log_level log_level;
};

// Reads the command line. False for wrong usage: then ERROR names what is wrong, in one line.
bool options_parse(struct options *options, int argc, char *argv[], struct text *error);

// What --help prints: every option, its meaning and its default.
void options_help(struct text *help);

#endif
