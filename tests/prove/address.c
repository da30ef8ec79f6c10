// SPDX-License-Identifier: MIT
// What is proved of address.c: an address is written within the room that it is given, whatever its
// bytes are, and judged by its own bytes only. What the C library's functions do is assumed.
#include "prove.h"

#include "ground.h"

#include "core/address.c"

// Assumed too: the model of memory does not see four bytes as a struct.
/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
*/
struct in_addr address_v4(const struct address *address);

/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
*/
bool address_is_v4(const struct address *address);
PROVED(address_is_v4);

/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
*/
bool address_is_loopback(const struct address *address);
PROVED(address_is_loopback);

/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
*/
bool address_is_group(const struct address *address);
PROVED(address_is_group);

/*@ requires \valid_read(address);
    terminates \true;
    assigns \nothing;
*/
bool address_is_no_host(const struct address *address);
PROVED(address_is_no_host);

/*@ requires \valid_read(address) && text_ok(text);
    requires \separated(address, text, text->bytes + (0 .. text->room - 1));
    terminates \true;
    assigns text->length, text->cut, text->bytes[text->length .. text->room - 1];
    ensures text_ok(text);
*/
void address_format(const struct address *address, struct text *text);
PROVED(address_format);

/*@ requires \valid_read(address) && \valid(buffer + (0 .. ADDRESS_TEXT_MAX - 1));
    requires \separated(address, buffer + (0 .. ADDRESS_TEXT_MAX - 1));
    terminates \true;
    assigns \result \from buffer;
    assigns buffer[0 .. ADDRESS_TEXT_MAX - 1];
    ensures \result == buffer;
*/
const char *address_string(char buffer[ADDRESS_TEXT_MAX], const struct address *address);
PROVED(address_string);
