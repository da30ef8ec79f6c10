// SPDX-License-Identifier: MIT
// options: the command line, made into values.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"
#include "ground/log.h"
#include "ground/text.h"

enum { BINDS_MAX = 64, ENDPOINTS_MAX = 65, MAX_LINE_LIMIT = 1 << 20, MAX_DATAGRAM_LIMIT = 65507 };

struct bind {
    size_t endpoint;             // whose it is: a place in options->endpoint
    struct address address;      // without a port; its scope is not known yet
    char interface[IF_NAMESIZE]; // named after a '%', or empty
};

// A port to be opened, on all addresses that are bound for it, or on every address of the host. Its
// texts point into argv.
struct endpoint {
    const char *role;
    size_t role_length;
    unsigned tcp_port, udp_port; // 0: the kernel chooses
    bool tcp, udp;               // what is asked for; a role may have one of both alone
    bool one_port;               // what the kernel chooses for TCP holds for UDP
    bool listen;                 // by --listen
};

// A server to be asked for an echo.
struct probe {
    const char *text;            // as it was given; points into argv. NULL: there is none
    struct address address;      // its scope is not known yet
    char interface[IF_NAMESIZE]; // named after a '%', or empty
    bool udp;
};

struct options {
    bool help, version;
    bool sockets_given; // --bind, --listen, --backlog or a port is named on the command line
    bool no_port;       // --port=none
    unsigned port, tcp_port, udp_port;
    struct endpoint endpoint[ENDPOINTS_MAX]; // the first is the echo port of these three, if any
    size_t endpoint_count;
    struct bind bind[BINDS_MAX];
    size_t bind_count;
    unsigned max_tcp, backlog;
    unsigned max_line, max_datagram;                    // bytes
    unsigned idle_timeout, line_timeout, drain_timeout; // seconds; 0 is never, or at once
    unsigned drain_delay;                               // seconds
    unsigned log_rate;                                  // lines a second; 0: all
    bool edge;                                          // --trigger=edge
    unsigned socket_buffer;                             // bytes; 0: the kernel's choice
    const char *token_file;                             // NULL: none named; points into argv
    const char *name;                                   // the same, of --name
    const char *user;                                   // the same, of --user
    bool no_sandbox;                                    // --no-sandbox
    bool dscp_reflect;                                  // --dscp=reflect
    struct probe probe;                                 // --probe
    enum log_level log_level;
};

// Reads the command line. False for wrong usage: then ERROR names what is wrong, in one line.
bool options_parse(struct options *options, int argc, char *argv[], struct text *error);

// What --help prints: every option, its meaning and its default.
void options_help(struct text *help);
