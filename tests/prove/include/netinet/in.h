// SPDX-License-Identifier: MIT
// Frama-C's netinet/in.h, and the macros that it lacks, as RFC 3493 and RFC 4291 have them.
#ifndef PROVE_NETINET_IN_H
#define PROVE_NETINET_IN_H

// Its contracts do not say that the functions come back: arpa/inet.h here has others.
#define inet_ntop other_inet_ntop
#define inet_pton other_inet_pton
#define ntohl other_ntohl
#define ntohs other_ntohs
#define htons other_htons
#include_next <netinet/in.h>
#undef inet_ntop
#undef inet_pton
#undef ntohl
#undef ntohs
#undef htons

#define PROVE_ZEROS(a)                                                                             \
    (!(a)[0] && !(a)[1] && !(a)[2] && !(a)[3] && !(a)[4] && !(a)[5] && !(a)[6] && !(a)[7] &&       \
     !(a)[8] && !(a)[9])
#define IN6_IS_ADDR_V4MAPPED(a)                                                                    \
    (PROVE_ZEROS((a)->s6_addr) && (a)->s6_addr[10] == 0xff && (a)->s6_addr[11] == 0xff)
#define PROVE_ALMOST_ZERO(a, last)                                                                 \
    (PROVE_ZEROS(a) && !(a)[10] && !(a)[11] && !(a)[12] && !(a)[13] && !(a)[14] &&                 \
     (a)[15] == (last))
#define IN6_IS_ADDR_LOOPBACK(a) PROVE_ALMOST_ZERO((a)->s6_addr, 1)
#define IN6_IS_ADDR_UNSPECIFIED(a) PROVE_ALMOST_ZERO((a)->s6_addr, 0)
#define IN6_IS_ADDR_MULTICAST(a) ((a)->s6_addr[0] == 0xff)
#ifndef IN_MULTICAST
#define IN_MULTICAST(ip) (((uint32_t)(ip)&0xf0000000) == 0xe0000000)
#endif

#endif
