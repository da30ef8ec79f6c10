// SPDX-License-Identifier: MIT
// Any text: it is an address that comes back from its own writing, or none. Any bytes of a socket's
// address: they are written within the room there is, and come back from a socket's address.
#include "fuzz.h"

#include <netinet/in.h>

#include "core/address.h"

static void must_come_back(const struct address *address)
{
    int family = address_is_v4(address) ? AF_INET : AF_INET6;
    struct sockaddr_storage storage;
    socklen_t length = address_store(address, family, &storage);
    struct address back = address_of(&storage);

    fuzz_must(length <= sizeof storage && storage.ss_family == family);
    fuzz_must(memcmp(&back.ip, &address->ip, sizeof back.ip) == 0 && back.port == address->port);
    fuzz_must(family == AF_INET || back.scope == address->scope);
}

// Written and without its port, brackets and scope, it is parsed to itself.
static void must_be_parsed_again(const struct address *address)
{
    char written[ADDRESS_TEXT_MAX], bare[ADDRESS_TEXT_MAX];
    struct address again;

    address_string(written, address);
    fuzz_must(strlen(written) < sizeof written - 1);
    strcpy(bare, written[0] == '[' ? written + 1 : written);
    *strrchr(bare, written[0] == '[' ? ']' : ':') = '\0';
    bare[strcspn(bare, "%")] = '\0';
    fuzz_must(address_parse(bare, &again));
    fuzz_must(memcmp(&again.ip, &address->ip, sizeof again.ip) == 0);
}

static void take_text(const uint8_t *data, size_t size)
{
    char *string = malloc(size + 1);
    struct address address;

    if (!string)
        abort();
    memcpy(string, data, size);
    string[size] = '\0';
    if (address_parse(string, &address)) {
        fuzz_must(address.port == 0 && address.scope == 0);
        must_come_back(&address);
        must_be_parsed_again(&address);
    }
    free(string);
}

static void take_socket(struct fuzz fuzz)
{
    struct sockaddr_storage storage;

    fuzz_fill(&fuzz, &storage, sizeof storage);
    storage.ss_family = fuzz_byte(&fuzz) & 1 ? AF_INET : AF_INET6;
    struct address address = address_of(&storage);
    must_come_back(&address);
    must_be_parsed_again(&address);
    fuzz_must(!(address_is_loopback(&address) && address_is_no_host(&address)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    take_text(data, size);
    take_socket((struct fuzz){data, size});
    return 0;
}
