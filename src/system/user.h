// SPDX-License-Identifier: MIT
// user: whom the process runs as, and what that user may.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct user {
    const char *name; // as --user has it; NULL: the one who has started the process
    uid_t uid;
    gid_t gid;
};

// Finds whom NAME is: UID[:GID], where a GID that is left out is the UID, or a name in /etc/passwd.
// Without NAME it is who the process runs as. False, with the reason in the log: there is nobody of
// that name, or it is root's.
bool user_find(const char *name, struct user *user);

// If USER has a name, the process becomes that user for good: with its group and no other, and
// without a capability. False, with what failed in the log. Without a name nothing changes; if it
// is root, the log warns.
bool user_become(const struct user *user);

// Takes every capability from the process, also from what it might execute, as far as that is
// allowed: the sets that are in force can always be emptied. False with errno if they were not.
bool user_drop_capabilities(void);
