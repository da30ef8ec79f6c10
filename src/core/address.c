// SPDX-License-Identifier: MIT
#include "core/address.h"

#include <arpa/inet.h>
#include <string.h>

bool address_parse(const char *string, struct address *address)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, string, &v4) == 1) {
        *address = address_of_v4(v4);
        return true;
    }
    *address = (struct address){.port = 0};
    return inet_pton(AF_INET6, string, &address->ip) == 1;
}

struct address address_of_v4(struct in_addr ip)
{
    struct address address = {.port = 0};

    address.ip.s6_addr[10] = address.ip.s6_addr[11] = 0xff;
    memcpy(address.ip.s6_addr + 12, &ip, sizeof ip);
    return address;
}

// The copies keep to the aliasing rules of C11, 6.5: storage is read and written as bytes only.
struct address address_of(const struct sockaddr_storage *storage)
{
    if (storage->ss_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, storage, sizeof v4);
        struct address address = address_of_v4(v4.sin_addr);
        address.port = ntohs(v4.sin_port);
        return address;
    }
    struct sockaddr_in6 v6;

    memcpy(&v6, storage, sizeof v6);
    return (struct address){v6.sin6_addr, v6.sin6_scope_id, ntohs(v6.sin6_port)};
}

socklen_t address_store(const struct address *address, int family, struct sockaddr_storage *storage)
{
    if (family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET,
                                 .sin_addr = address_v4(address),
                                 .sin_port = htons(address->port)};

        memcpy(storage, &v4, sizeof v4);
        return sizeof v4;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_addr = address->ip,
                              .sin6_scope_id = address->scope,
                              .sin6_port = htons(address->port)};

    memcpy(storage, &v6, sizeof v6);
    return sizeof v6;
}

bool address_same(const struct address *a, const struct address *b)
{
    return memcmp(&a->ip, &b->ip, sizeof a->ip) == 0 && a->scope == b->scope && a->port == b->port;
}

bool address_is_v4(const struct address *address)
{
    return IN6_IS_ADDR_V4MAPPED(&address->ip);
}

struct in_addr address_v4(const struct address *address)
{
    struct in_addr v4;

    memcpy(&v4, address->ip.s6_addr + 12, sizeof v4);
    return v4;
}

bool address_is_loopback(const struct address *address)
{
    if (address_is_v4(address))
        return address->ip.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&address->ip);
}

bool address_is_group(const struct address *address)
{
    uint32_t v4 = ntohl(address_v4(address).s_addr);

    if (address_is_v4(address))
        return IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
    return IN6_IS_ADDR_MULTICAST(&address->ip);
}

bool address_is_no_host(const struct address *address)
{
    if (address_is_v4(address))
        return address_is_group(address) || address_v4(address).s_addr == INADDR_ANY;
    return address_is_group(address) || IN6_IS_ADDR_UNSPECIFIED(&address->ip);
}

void address_format(const struct address *address, struct text *text)
{
    char ip[INET6_ADDRSTRLEN];

    if (address_is_v4(address)) {
        struct in_addr v4 = address_v4(address);

        inet_ntop(AF_INET, &v4, ip, sizeof ip);
        text_format(text, "%s:%u", ip, address->port);
        return;
    }
    inet_ntop(AF_INET6, &address->ip, ip, sizeof ip);
    text_format(text, "[%s", ip);
    if (address->scope != 0)
        text_format(text, "%%%u", address->scope);
    text_format(text, "]:%u", address->port);
}

const char *address_string(char buffer[ADDRESS_TEXT_MAX], const struct address *address)
{
    struct text text = text_in(buffer, ADDRESS_TEXT_MAX);

    address_format(address, &text);
    return text_end(&text);
}
