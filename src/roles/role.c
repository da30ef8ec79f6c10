// SPDX-License-Identifier: MIT
#include "roles/role.h"

#include <string.h>

#include "ground/util.h"

#define ROLE_LISTED(name) &role_##name,
static const struct role *const roles[] = {ROLES(ROLE_LISTED)};
#undef ROLE_LISTED

static const struct role *find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(roles); i++)
        if (strlen(roles[i]->name) == length && memcmp(roles[i]->name, name, length) == 0)
            return roles[i];
    return NULL;
}

struct duty duty_find(const char *name, size_t length)
{
    size_t suffix = sizeof DUTY_PROXY - 1;
    bool proxy = length > suffix && memcmp(name + length - suffix, DUTY_PROXY, suffix) == 0;

    return (struct duty){find(name, proxy ? length - suffix : length), proxy};
}

bool duty_is_for(struct duty duty, enum protocol protocol)
{
    return protocol == PROTOCOL_TCP ? duty.role->stream != NULL
                                    : duty.role->datagram && !duty.proxy;
}

void duty_list(struct text *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(roles); i++) {
        text_string(text, i == 0 ? "" : ", ");
        text_string(text, roles[i]->name);
    }
}
