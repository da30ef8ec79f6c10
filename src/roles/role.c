// SPDX-License-Identifier: MIT
#include "roles/role.h"

#include <string.h>

#include "ground/util.h"

#define ROLE_LISTED(name) &role_##name,
static const struct role *const roles[] = {ROLES(ROLE_LISTED)};
#undef ROLE_LISTED

const struct role *role_find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(roles); i++)
        if (strlen(roles[i]->name) == length && memcmp(roles[i]->name, name, length) == 0)
            return roles[i];
    return NULL;
}
