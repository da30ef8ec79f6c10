// SPDX-License-Identifier: MIT
// control: what travels beside a datagram: where it was sent to, how far it may go, in which pieces
// it came (ip(7), ipv6(7), udp(7), cmsg(3)).
#pragma once

#include <stdalign.h>
#include <sys/socket.h>

#include "core/guard.h"

// Room for IP_PKTINFO, IP_TTL, IP_TOS, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_RECVFRAGSIZE,
// SO_RXQ_OVFL and UDP_GRO, and some to spare.
enum { CONTROL_BYTES = 256 };

struct control {
    alignas(struct cmsghdr) char bytes[CONTROL_BYTES];
};

// Reads what came with MESSAGE into DATAGRAM, whose peer and length are known.
void control_read(struct msghdr *message, struct datagram *datagram);

// Has MESSAGE, an answer to DATAGRAM, go out from the address that was asked, with one hop less
// than the question, and with its DSCP if that is known. CONTROL has to last as long as MESSAGE,
// which has no control data yet.
void control_write(const struct datagram *datagram, struct control *control,
                   struct msghdr *message);

// Has the kernel cut MESSAGE, which control_write has seen, into datagrams of SEGMENT bytes each,
// the last of them perhaps of less. control_join undoes that.
void control_cut(struct msghdr *message, uint16_t segment);
void control_join(struct msghdr *message);
