// SPDX-License-Identifier: MIT
// net: sockets made, set up and asked, as socket(7), ip(7), ipv6(7), tcp(7) and udp(7) describe.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/address.h"

// Which addresses of the other family a socket on an IPv6 address serves too.
enum net_stack { NET_ONE_FAMILY, NET_DUAL };

// A non-blocking socket of TYPE (SOCK_STREAM or SOCK_DGRAM) bound to ADDRESS; a stream listens
// with BACKLOG. Returns -1 with errno, and in *CALL the name of the call that failed.
int net_open(int type, const struct address *address, enum net_stack stack, unsigned backlog,
             const char **call);

// The same steps for a socket that somebody else opened and bound. Its options are set, not
// trusted.
int net_adopt(int fd, int type, const char **call);

// A non-blocking socket of TYPE that connects to ADDRESS: a stream can be written to, or has
// failed, once that has ended. Returns -1 with errno.
int net_connect(int type, const struct address *address);

// The index of the interface that NAME is the name or the number of, as in fe80::1%2. 0 with errno:
// there is none.
uint32_t net_interface(const char *name);
// Sets the options alone, of a socket that is non-blocking.
int net_settle(int fd, int type, const char **call);

// FD, for datagrams, is somebody else's from now on, who may not know of several in one message.
void net_separate(int fd);

// Bounds the kernel's memory for a TCP listener's connections: socket(7), SO_RCVBUF and SO_SNDBUF.
int net_limit_buffers(int fd, unsigned bytes);

// From now on each datagram tells its traffic class: ip(7), IP_RECVTOS, and RFC 3542, 6.5. Returns
// 0, or -1 with errno.
int net_tell_class(int fd);

// The datagrams that a socket has lost so far, for want of room or by a wrong checksum: what
// SO_RXQ_OVFL tells from now on goes on from there. 0 where the kernel does not say (before Linux
// 4.12).
uint32_t net_lost(int fd);

// From now on, an IPv6 datagram that is too large for its first link goes out in packets of BYTES
// at most; 0: of what the path is known to allow.
void net_fragment(int fd, unsigned bytes);

// Whether an IPv6 socket serves IPv4 too.
bool net_is_dual(int fd);

// Whether clients come in by FD: a socket of TYPE at LOCAL that, if it is SOCK_STREAM, listens.
bool net_serves(int fd, int type, const struct address *local);

// getsockname(2) and getpeername(2) as values; port 0: that failed, as it does after a reset.
struct address net_local(int fd);
struct address net_peer(int fd);

// What stands in a TCP socket next: more than 0 for a byte, 0 for FIN, -1 for nothing yet or an
// error.
ssize_t net_peek(int fd);

// Whether a TCP socket has sent all that it has taken. False where nobody can tell: see
// net_writable_when_sent for another way.
bool net_all_sent(int fd);

// From now on EPOLLOUT means that all is sent (tcp(7), TCP_NOTSENT_LOWAT): 0, or -1 with errno.
int net_writable_when_sent(int fd);

// For how long no byte has gone either way on a TCP connection; UINT32_MAX where nobody can tell.
uint32_t net_silent_milliseconds(int fd);

// For how long nothing has been heard of the other end's system, not even an ACK; 0 where nobody
// can tell.
uint32_t net_unheard_milliseconds(int fd);

// Bytes that have gone either way on a TCP connection, those that were sent again counted once; 0
// where the kernel does not tell (before Linux 4.19). ENDED: whether FIN may have come, for after a
// reset the kernel shows an end either way.
struct net_moved {
    uint64_t received, sent;
};
struct net_moved net_moved(int fd, bool ended);

// Those that are accepted from now on are probed after another time than those before: the kernel
// sends all probes that fall due in the same two seconds at once, and a loopback or a veth drops,
// and tells nobody, what is more than net.core.netdev_max_backlog. TURN goes on by one from call to
// call. What fails is a spread, and nothing else: nobody is told.
void net_vary_keepalive(int fd, unsigned turn);

// A close(2) of the socket resets its connection: socket(7), SO_LINGER. If this fails, it ends
// cleanly.
void net_reset(int fd);

// errno says that the system has no more descriptors or memory to give, not that a peer is at
// fault: ENFILE, EMFILE, ENOBUFS, ENOMEM.
bool net_exhausted(int error);
