// SPDX-License-Identifier: MIT
// netsock: listening and datagram sockets as the kernel sees them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/address.h"
#include "expect.h"
#include "roles/role.h"

struct flow;

// A datagram, from its sender to its answer.
struct question {
    struct question *next;
    struct address peer, local;
    bool to_host; // `local` is an own address, not a broadcast one
    int hop_limit;
    int class;               // of traffic: the DSCP, and two bits of ECN
    const struct role *role; // that the port has
    char *bytes;
    size_t length;
    bool joins;     // the one before it, as a train, where the socket takes such
    bool truncated; // for the daemon
    struct moment asked;
    uint64_t due_low,
        due_high; // when its answer goes out, if it is delayed; due_high is 0 until known
    bool limited; // others before it may have used up what a longer answer needs
};

struct netsock {
    struct netsock *next; // all that are open
    int fd, family, type;
    bool v6only, listening;
    bool in_flight;     // see struct flow
    bool pktinfo, hops; // for its family's control messages
    bool class_v4, class_v6;
    bool trains; // it takes several datagrams as one message
    struct address bound;
    bool bound_to_port;
    unsigned backlog, waiting;
    struct flow *first;      // the accept queue
    struct question *oldest; // the receive queue
    unsigned datagrams;
    struct question *batch;           // read, and not answered yet, in order
    uint64_t failed_low, failed_high; // when accept4 last said that nobody can be taken in
    bool retry_at_once;               // a connection has ended since
    unsigned failures;                // of recvmmsg, one after the other
    uint64_t failed[4];               // when, the last one first
    uint64_t turn;                    // the turn of `accepts`
    unsigned accepts;
};

enum ipv6 { IPV6_DUAL, IPV6_SEPARATE, IPV6_NONE };

void netsock_begin(enum ipv6 ipv6);

// socket(2), bind(2) and setsockopt(2): 0 or an errno.
int netsock_open(int family, int type, struct netsock **opened);
int netsock_bind(struct netsock *socket, const struct sockaddr *address);
int netsock_set(struct netsock *socket, int level, int name, int value);
void netsock_close(struct netsock *socket);

extern struct netsock *netsocks; // the first

// The further ports that a universe may have. What they do is told by their numbers; all others are
// the echo port's.
enum { FURTHER_PORTS = 8 };
extern const struct further {
    const char *listen; // as --listen has it
    uint16_t number;
    struct duty duty;
} further_ports[FURTHER_PORTS];

struct duty netsock_duty(const struct netsock *socket);

// One that a client of that family and type reaches, or NULL.
struct netsock *netsock_find(int type, bool v4);

void netsock_enqueue(struct netsock *socket, struct flow *flow);
struct flow *netsock_dequeue(struct netsock *socket);

// A datagram arrives; the question becomes the socket's, or is dropped.
void netsock_arrive(struct netsock *socket, struct question *question);
struct question *question_free(struct question *question); // returns the next
void question_add(struct question **queue, struct question *question);

uint32_t netsock_poll(const struct netsock *socket);

// ADDRESS as a socket of FAMILY shows it; returns its length.
socklen_t netsock_name(const struct address *address, int family, struct sockaddr *name,
                       socklen_t room);
bool netsock_same(const struct address *a, const struct address *b);
// TEXT an IPv4 or IPv6 address.
struct address netsock_parse(const char *text, uint16_t port);
