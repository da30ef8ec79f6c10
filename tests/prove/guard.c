// SPDX-License-Identifier: MIT
// What is proved of guard.c: it reads only the bytes that a datagram has, and it accepts what
// guard.h says and nothing else.
#include "prove.h"

#include "core/guard.c"

/*@ axiomatic hosts {
      logic boolean no_host(struct address address);
    }

    predicate own(struct guard_ports *ports, integer port) =
        ((ports->own[port / 64] >> (port % 64)) & 1) != 0;

    predicate error(struct datagram *datagram) = datagram->held >= 4 && datagram->bytes[0] == 'E' &&
        datagram->bytes[1] == 'R' && datagram->bytes[2] == 'R' && datagram->bytes[3] == ' ';
*/

// Assumed: an address is judged by nothing but itself.
/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
    ensures \result <==> no_host(*address) == \true;
*/
bool address_is_no_host(const struct address *address);

/*@ requires \valid_read(ports);
    terminates \true;
    assigns \nothing;
    ensures \result <==> own(ports, port);
*/
static bool is_own(const struct guard_ports *ports, uint16_t port);
PROVED(is_own);

/*@ requires \valid_read(datagram) && \valid_read(ports);
    terminates \true;
    assigns \nothing;
    ensures \result == DROP_NONE <==> datagram->peer.port >= 1024 && !own(ports,
   datagram->peer.port) && no_host(datagram->peer) != \true && no_host(datagram->local) != \true &&
                         datagram->to_host;
*/
enum drop guard_addresses(const struct datagram *datagram, const struct guard_ports *ports);
PROVED(guard_addresses);

/*@ requires \valid_read(datagram);
    requires datagram->held == 0 || \valid_read(datagram->bytes + (0 .. datagram->held - 1));
    terminates \true;
    assigns \nothing;
    ensures \result == DROP_NONE <==> datagram->hop_limit > 1 && (any_content || !error(datagram));
*/
enum drop guard_content(const struct datagram *datagram, bool any_content);
PROVED(guard_content);
