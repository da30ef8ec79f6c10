// SPDX-License-Identifier: MIT
#include "system/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/number.h"
#include "ground/log.h"

enum { CAPABILITIES_VERSION = 0x20080522, CAPABILITIES_MAX = 64 };

static const uint64_t id_max = UINT32_MAX - 1; // the next one means none

static bool parse(const char *text, struct user *user)
{
    size_t length = strcspn(text, ":");
    uint64_t uid, gid;

    if (!number_parse(text, length, id_max, &uid))
        return false;
    gid = uid;
    if (text[length] == ':' && !number_of(text + length + 1, id_max, &gid))
        return false;
    user->uid = (uid_t)uid;
    user->gid = (gid_t)gid;
    return true;
}

// Not getpwnam(3): in a static program, that of glibc needs its shared libraries at run time. NULL,
// or why there is nobody.
static const char *look_up(const char *name, struct user *user)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *entry;

    if (!file)
        return strerror(errno);
    while ((entry = fgetpwent(file)) && strcmp(entry->pw_name, name) != 0)
        continue;
    if (entry) {
        user->uid = entry->pw_uid;
        user->gid = entry->pw_gid;
    }
    fclose(file);
    return entry ? NULL : "/etc/passwd has no such user";
}

bool user_find(const char *name, struct user *user)
{
    const char *problem = NULL;

    *user = (struct user){.name = name, .uid = geteuid(), .gid = getegid()};
    if (!name)
        return true;
    if (!parse(name, user))
        problem = look_up(name, user);
    if (!problem && user->uid == 0)
        problem = "it is root";
    if (!problem)
        return true;
    log_event(LOG_ERROR, "cannot become the user", LOG_TEXT("user", name),
              LOG_TEXT("error", problem),
              LOG_TEXT("remedy", "name another user than root that /etc/passwd has, or any by "
                                 "number: --user=UID or --user=UID:GID"));
    return false;
}

// Of what might be executed. Whoever may not do so has none to lose, but by a file that has them,
// and that is what PR_SET_NO_NEW_PRIVS is for.
static void drop_bounding(void)
{
    for (unsigned long i = 0; i < CAPABILITIES_MAX && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++)
        continue;
}

bool user_drop_capabilities(void)
{
    const struct {
        uint32_t version;
        int pid; // 0: this process
    } header = {.version = CAPABILITIES_VERSION};
    static const uint32_t none[2][3]; // effective, permitted, inheritable; the ambient ones follow
    uint32_t sets[2][3];

    drop_bounding();
    // Who has none may not be allowed to say so: a service manager can refuse the second call.
    bool had_none = syscall(SYS_capget, &header, sets) == 0 && memcmp(sets, none, sizeof none) == 0;
    return had_none || syscall(SYS_capset, &header, none) == 0;
}

static bool is(const struct user *user)
{
    uid_t real, effective, saved;

    return getresuid(&real, &effective, &saved) == 0 && real == user->uid &&
           effective == user->uid && saved == user->uid;
}

// NULL, or the call that failed, with errno.
static const char *become(const struct user *user)
{
    if (!is(user)) {
        drop_bounding(); // as long as it may
        if (setgroups(0, NULL) < 0)
            return "setgroups";
        if (setresgid(user->gid, user->gid, user->gid) < 0)
            return "setresgid";
        if (setresuid(user->uid, user->uid, user->uid) < 0)
            return "setresuid";
    }
    if (!user_drop_capabilities())
        return "capset";
    errno = ENOTRECOVERABLE;
    return setresuid(0, 0, 0) == 0 ? "setresuid back to root" : NULL;
}

bool user_become(const struct user *user)
{
    if (!user->name) {
        if (user->uid == 0)
            log_event(LOG_WARNING, "runs as root",
                      LOG_TEXT("remedy", "name a user to become: --user=NAME; or start it as "
                                         "another: User= or DynamicUser= in a unit, runAsUser in "
                                         "a container"));
        return true;
    }
    const char *call = become(user);
    if (!call)
        return true;
    log_event(LOG_ERROR, "cannot become the user", LOG_TEXT("user", user->name),
              LOG_TEXT("call", call), LOG_TEXT("error", strerror(errno)),
              LOG_TEXT("remedy", "only root can become another user: start it as root, or as "
                                 "that user"));
    return false;
}
