// SPDX-License-Identifier: MIT
// What is proved of proxy.c: it reads only the bytes that it is given, every loop ends, and a
// header is never longer than what there is of it; with PROXY_MAX_BYTES there is an answer; what
// may go into a log stands within the header, is printable and not too long. That the answer does
// not depend on how the bytes were cut is the fuzzer's matter.
#include "prove.h"

#include "ground.h"
#include "number.h"

/*@ predicate bytes_ok(char *at, integer left) =
        0 <= left <= 0x7fffffff && (left == 0 || \valid_read(at + (0 .. left - 1)));

    predicate stands(char *at, integer length, char *from, integer left) =
        at == from + (at - from) && 0 <= at - from && at - from + length <= left;

    // A text that a log may show, or none, among the LEFT bytes at FROM.
    predicate shown(char *text, integer length, integer most, char *from, integer left) =
        length == 0 ||
        (0 < length <= most && stands(text, length, from, left) &&
         \forall integer i; 0 <= i < length ==> 0x21 <= text[i] <= 0x7e);
*/

#include "core/proxy.c"

/*@ requires \valid(part) && length <= part->left;
    terminates \true;
    assigns part->at \from part->at, length;
    assigns part->left;
    ensures part->at == \old(part->at) + length && part->left == \old(part->left) - length;
*/
static void skip(struct part *part, size_t length);
PROVED(skip);

/*@ requires bytes_ok(part.at, part.left) && bytes_ok(start, length);
    terminates \true;
    assigns \nothing;
    ensures \result ==> length <= part.left;
*/
static bool begins(struct part part, const char *start, size_t length);
PROVED(begins);

/*@ requires \valid(line) && bytes_ok(line->at, line->left);
    terminates \true;
    assigns line->at \from line->at, line->at[0 .. line->left - 1];
    assigns line->left;
    ensures \result.at == \old(line->at) && \result.left <= \old(line->left);
    ensures line->left <= \old(line->left);
    ensures line->at == \old(line->at) + (\old(line->left) - line->left);
*/
static struct part next_word(struct part *line);
PROVED(next_word);

// Assumed: it looks no further than the NUL.
/*@ requires \exists integer n; 0 <= n && \valid_read(string + (0 .. n)) && string[n] == 0;
    requires \valid(address);
    terminates \true;
    assigns *address;
*/
bool address_parse(const char *string, struct address *address);

/*@ requires bytes_ok(word.at, word.left) && \valid(address);
    terminates \true;
    assigns *address;
*/
static bool take_ip(struct part word, bool v6, struct address *address);
PROVED(take_ip);

/*@ requires bytes_ok(word.at, word.left) && \valid(address);
    terminates \true;
    assigns address->port;
*/
static bool take_port(struct part word, struct address *address);
PROVED(take_port);

/*@ requires bytes_ok(line.at, line.left) && \valid(header);
    requires line.left == 0 || \separated(header, line.at + (0 .. line.left - 1));
    terminates \true;
    assigns header->source, header->destination, header->announced, \result;
*/
static const char *take_line(struct part line, struct proxy_header *header);
PROVED(take_line);

/*@ requires bytes_ok(bytes, length) && \valid(header) && header->length == 0;
    requires length == 0 || \separated(header, bytes + (0 .. length - 1));
    terminates \true;
    assigns header->length, header->source, header->destination, header->announced, \result;
    ensures header->length <= length && header->length <= TEXT_MAX_BYTES;
    ensures length >= TEXT_MAX_BYTES ==> header->length > 0 || \result != \null;
*/
static const char *take_text(const char *bytes, size_t length, struct proxy_header *header);
PROVED(take_text);

/*@ requires \valid_read(at);
    terminates \true;
    assigns \nothing;
    ensures \result == (uint8_t)at[0];
*/
static uint8_t byte(const char *at);
PROVED(byte);

/*@ requires \valid_read(at + (0 .. 1));
    terminates \true;
    assigns \nothing;
    ensures \result == (uint8_t)at[0] * 256 + (uint8_t)at[1];
*/
static uint16_t number(const char *at);
PROVED(number);

/*@ requires \valid_read(at + (0 .. 3));
    terminates \true;
    assigns \nothing;
*/
static uint32_t long_number(const char *at);
PROVED(long_number);

/*@ requires \valid(part) && \valid(tlv) && \separated(part, tlv);
    requires bytes_ok(part->at, part->left);
    terminates \true;
    assigns part->at \from part->at, part->at[0 .. part->left - 1];
    assigns part->left, *tlv;
    ensures !\result ==> part->at == \old(part->at) && part->left == \old(part->left);
    ensures \result ==> tlv->value.at == \old(part->at) + TLV_BYTES;
    ensures \result ==> part->at == tlv->value.at + tlv->value.left;
    ensures \result ==> TLV_BYTES + tlv->value.left + part->left == \old(part->left);
*/
static bool next_tlv(struct part *part, struct tlv *tlv);
PROVED(next_tlv);

/*@ requires bytes_ok(part.at, part.left);
    terminates \true;
    assigns \nothing;
*/
static bool are_tlvs(struct part part);
PROVED(are_tlvs);

/*@ requires bytes_ok(value.at, value.left);
    terminates \true;
    assigns \nothing;
    ensures shown(value.at, \result, most, value.at, value.left);
*/
static size_t printable(struct part value, size_t most);
PROVED(printable);

/*@ requires bytes_ok(value.at, value.left) && \valid(header);
    requires value.left == 0 || \separated(header, value.at + (0 .. value.left - 1));
    terminates \true;
    assigns header->tls \from value;
    assigns header->tls_length;
    ensures shown(header->tls, header->tls_length, TLS_MAX_BYTES, value.at, value.left);
*/
static void take_ssl(struct part value, struct proxy_header *header);
PROVED(take_ssl);

/*@ requires bytes_ok(tlvs.at, tlvs.left) && \valid(header) && \valid(checksum);
    requires *checksum == \null && header->authority_length == 0 && header->tls_length == 0;
    requires tlvs.left == 0 || \separated(header, checksum, tlvs.at + (0 .. tlvs.left - 1));
    requires \separated(header, checksum);
    terminates \true;
    assigns *checksum, header->authority, header->tls \from tlvs;
    assigns header->authority_length, header->tls_length, \result;
    ensures shown(header->authority, header->authority_length, AUTHORITY_MAX_BYTES, tlvs.at,
                  tlvs.left);
    ensures shown(header->tls, header->tls_length, TLS_MAX_BYTES, tlvs.at, tlvs.left);
    ensures *checksum == \null || stands(*checksum, CHECKSUM_BYTES, tlvs.at, tlvs.left);
*/
static const char *take_tlvs(struct part tlvs, struct proxy_header *header, const char **checksum);
PROVED(take_tlvs);

/*@ requires bytes_ok(bytes, length) && stands(checksum, CHECKSUM_BYTES, bytes, length);
    terminates \true;
    assigns \nothing;
*/
static uint32_t checksum_of(const char *bytes, size_t length, const char *checksum);
PROVED(checksum_of);

// Assumed: the model of memory does not see bytes as a struct.
/*@ requires length == sizeof(struct in_addr) || length == sizeof(struct in6_addr);
    requires \valid_read(ip + (0 .. length - 1)) && \valid_read(port + (0 .. 1));
    terminates \true;
    assigns \nothing;
*/
static struct address address_at(const char *ip, size_t length, const char *port);

/*@ requires \valid_read(bytes + (0 .. VERSION_AT));
    terminates \true;
    assigns \nothing;
    ensures \result <==> (uint8_t)bytes[VERSION_AT] % 16 == COMMAND_LOCAL;
*/
static bool is_local(const char *bytes);
PROVED(is_local);

/*@ requires \valid_read(bytes + (0 .. FAMILY_AT));
    terminates \true;
    assigns \nothing;
    ensures \result == (uint8_t)bytes[FAMILY_AT] / 16;
*/
static unsigned family_of(const char *bytes);
PROVED(family_of);

/*@ requires \valid_read(bytes + (0 .. FAMILY_AT));
    terminates \true;
    assigns \nothing;
*/
static unsigned protocol_of(const char *bytes);
PROVED(protocol_of);

/*@ requires \valid_read(bytes + (0 .. FAMILY_AT));
    terminates \true;
    assigns \nothing;
    ensures (uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV4 ==> \result == 12;
    ensures (uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV6 ==> \result == 36;
    ensures \result <= 216;
*/
static size_t addresses_of(const char *bytes);
PROVED(addresses_of);

/*@ logic integer following(char *bytes) =
        (uint8_t)bytes[LENGTH_AT] * 256 + (uint8_t)bytes[LENGTH_AT + 1];
*/

/*@ requires bytes_ok(bytes, length);
    terminates \true;
    assigns \result;
    ensures \result == \null && length >= FIXED_BYTES ==>
            following(bytes) <= PROXY_MAX_BYTES - FIXED_BYTES;
    ensures \result == \null && length >= FIXED_BYTES &&
            (uint8_t)bytes[VERSION_AT] % 16 != COMMAND_LOCAL ==>
            ((uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV4 ==> following(bytes) >= 12) &&
            ((uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV6 ==> following(bytes) >= 36);
*/
static const char *binary_problem(const char *bytes, size_t length);
PROVED(binary_problem);

/*@ requires \valid(header) && \separated(header, bytes + (0 .. FAMILY_AT));
    requires \valid_read(bytes + (0 .. FIXED_BYTES + 11));
    requires (uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV6 ==>
             \valid_read(bytes + (0 .. FIXED_BYTES + 35));
    terminates \true;
    assigns header->source, header->destination, header->announced;
*/
static void take_addresses(const char *bytes, struct proxy_header *header);
PROVED(take_addresses);

/*@ requires bytes_ok(bytes, length) && length >= FIXED_BYTES;
    terminates \true;
    assigns \nothing;
    ensures 0 <= \result.left && 0 <= \result.at - bytes <= length;
    ensures \result.at == bytes + (\result.at - bytes);
    ensures \result.at - bytes + \result.left <= length;
*/
static struct part tlvs_of(const char *bytes, size_t length);
PROVED(tlvs_of);

/*@ requires \valid_read(bytes + (0 .. FAMILY_AT));
    terminates \true;
    assigns \nothing;
    ensures \result ==> (uint8_t)bytes[VERSION_AT] % 16 != COMMAND_LOCAL &&
            ((uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV4 ||
             (uint8_t)bytes[FAMILY_AT] / 16 == FAMILY_IPV6);
*/
static bool announces(const char *bytes);
PROVED(announces);

/*@ requires bytes_ok(bytes, length) && \valid(header) && header->length == 0;
    requires header->authority_length == 0 && header->tls_length == 0;
    requires length == 0 || \separated(header, bytes + (0 .. length - 1));
    terminates \true;
    assigns header->authority, header->tls \from bytes;
    assigns header->length, header->source, header->destination, header->announced,
            header->authority_length, header->tls_length, \result;
    ensures header->length <= length && header->length <= PROXY_MAX_BYTES;
    ensures length >= PROXY_MAX_BYTES ==> header->length > 0 || \result != \null;
    ensures shown(header->authority, header->authority_length, AUTHORITY_MAX_BYTES, bytes,
                  header->length);
    ensures shown(header->tls, header->tls_length, TLS_MAX_BYTES, bytes, header->length);
*/
static const char *take_binary(const char *bytes, size_t length, struct proxy_header *header);
PROVED(take_binary);

// Assumed: the model of memory does not look into a struct that is assigned whole.
/*@ requires \valid(header);
    terminates \true;
    assigns *header;
    ensures header->length == 0 && header->problem == problem;
    ensures header->authority_length == 0 && header->tls_length == 0;
*/
static void clear(struct proxy_header *header, const char *problem);

/*@ requires bytes_ok(bytes, length) && \valid(header);
    requires length == 0 || \separated(header, bytes + (0 .. length - 1));
    terminates \true;
    assigns *header;
    ensures header->length <= length && header->length <= PROXY_MAX_BYTES;
    ensures header->length == 0 || header->problem == \null;
    ensures length >= PROXY_MAX_BYTES ==> header->length > 0 || header->problem != \null;
    ensures shown(header->authority, header->authority_length, AUTHORITY_MAX_BYTES, bytes,
                  header->length);
    ensures shown(header->tls, header->tls_length, TLS_MAX_BYTES, bytes, header->length);
*/
void proxy_parse(const char *bytes, size_t length, struct proxy_header *header);
PROVED(proxy_parse);
