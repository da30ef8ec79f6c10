// SPDX-License-Identifier: MIT
// What the proofs assume of the C library's functions on addresses.
#ifndef PROVE_ARPA_INET_H
#define PROVE_ARPA_INET_H

#include <netinet/in.h>
#include <stdint.h>

/*@ terminates \true;
    assigns \nothing;
*/
uint32_t ntohl(uint32_t number);

/*@ terminates \true;
    assigns \nothing;
*/
uint16_t ntohs(uint16_t number);

/*@ terminates \true;
    assigns \nothing;
*/
uint16_t htons(uint16_t number);

// The longest text of each family fits, and its NUL.
/*@ requires room >= (family == AF_INET ? 16 : 46) && \valid(text + (0 .. room - 1));
    terminates \true;
    assigns text[0 .. room - 1];
    assigns \result \from text;
*/
const char *inet_ntop(int family, const void *address, char *text, socklen_t room);

int inet_pton(int family, const char *text, void *address);

#endif
