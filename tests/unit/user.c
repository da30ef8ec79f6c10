// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/user.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { ROOT = 0, ECHO = 1007, GROUP = 1008 };

// What the process is, the calls that change it, and which of them fails.
static struct {
    uid_t uid;
    bool groups, capabilities, leaky;
    gid_t gid;
    unsigned long bounding; // the first that is still there
    const char *failing;
    char calls[256], logged[512];
} process;

static int called(const char *name)
{
    strcat(process.calls, name);
    strcat(process.calls, " ");
    errno = EPERM;
    return process.failing && strcmp(process.failing, name) == 0 ? -1 : 0;
}

uid_t __wrap_geteuid(void)
{
    return process.uid;
}

int __wrap_getresuid(uid_t *real, uid_t *effective, uid_t *saved)
{
    *real = *effective = *saved = process.uid;
    return 0;
}

int __wrap_setgroups(size_t count, const gid_t *groups)
{
    (void)groups;
    assert_int_equal(count, 0);
    if (called("setgroups") < 0)
        return -1;
    process.groups = false;
    return 0;
}

int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved)
{
    assert_true(real == effective && effective == saved);
    if (called("setresgid") < 0)
        return -1;
    process.gid = real;
    return 0;
}

int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved)
{
    assert_true(real == effective && effective == saved);
    if (real == ROOT) { // the way back
        errno = EPERM;
        return process.leaky ? 0 : -1;
    }
    if (called("setresuid") < 0)
        return -1;
    process.uid = real;
    return 0;
}

int __wrap_prctl(int option, ...)
{
    (void)option; // PR_CAPBSET_DROP, of 41 capabilities, of which whoever is not root drops none
    errno = process.bounding == 41 ? EINVAL : EPERM;
    return process.uid == ROOT && process.bounding < 41 ? (int)(process.bounding++, 0) : -1;
}

long __wrap_syscall(long number, const void *header, uint32_t *sets)
{
    (void)header;
    if (number == SYS_capget) {
        memset(sets, process.capabilities ? 0xff : 0, 2 * 3 * sizeof *sets);
        return 0;
    }
    assert_int_equal(number, SYS_capset);
    if (called("capset") < 0)
        return -1;
    process.capabilities = false;
    return 0;
}

static bool sink(enum log_level level, const struct log_field *fields, size_t count, uint64_t lost)
{
    (void)level, (void)lost;
    for (size_t i = 0; i < count; i++)
        if (fields[i].text && strcmp(fields[i].key, "remedy") != 0) {
            strcat(process.logged, fields[i].text);
            strcat(process.logged, " ");
        }
    return true;
}

BEFORE_EACH
{
    memset(&process, 0, sizeof process);
    process.groups = process.capabilities = true;
    log_set_sink(sink);
}

// /etc/passwd, or NULL for none.
static const char *users;

FILE *__wrap_fopen64(const char *path, const char *mode)
{
    assert_string_equal(path, "/etc/passwd");
    errno = ENOENT;
    return users ? fmemopen((char *)users, strlen(users), mode) : NULL;
}

static void expect_found(const char *name, uid_t uid, gid_t gid)
{
    struct user user;

    assert_true(user_find(name, &user));
    assert_int_equal(user.uid, uid);
    assert_int_equal(user.gid, gid);
    assert_string_equal(process.logged, "");
}

static void expect_nobody(const char *name, const char *problem)
{
    struct user user;
    char logged[256];

    *process.logged = '\0';
    assert_false(user_find(name, &user));
    snprintf(logged, sizeof logged, "cannot become the user %s %s ", name, problem);
    assert_string_equal(process.logged, logged);
}

static struct user found(const char *name)
{
    struct user user;

    assert_true(user_find(name, &user));
    return user;
}

static void expect_failure(const char *call)
{
    struct user user = found("1007:1008");
    char logged[256];

    process.failing = call;
    *process.logged = '\0';
    assert_false(user_become(&user));
    snprintf(logged, sizeof logged, "cannot become the user 1007:1008 %s Operation not permitted ",
             call);
    assert_string_equal(process.logged, logged);
}

TEST(a_number_needs_no_file)
{
    users = NULL;
    expect_found("1007", ECHO, ECHO);
    expect_found("1007:1008", ECHO, GROUP);
    expect_found("1007:0", ECHO, 0);
    expect_found("4294967294", UINT32_MAX - 1, UINT32_MAX - 1);
}

TEST(a_name_is_looked_up)
{
    users = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\necho:x:1007:1008::/:/bin/false\n";
    expect_found("echo", ECHO, GROUP);
    expect_nobody("ech", "/etc/passwd has no such user");
    expect_nobody("echoes", "/etc/passwd has no such user");
    users = NULL;
    expect_nobody("echo", "No such file or directory");
}

TEST(what_is_no_number_is_a_name)
{
    static const char *const names[] = {"-1",         "1007:", "1007:x", "1007:1008:1009",
                                        "4294967295", "0x7",   ":1008",  " 1007"};

    users = "echo:x:1007:1008::/:/bin/false\n";
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        expect_nobody(names[i], "/etc/passwd has no such user");
}

TEST(root_is_not_to_be_become)
{
    users = "root:x:0:0:root:/root:/bin/sh\n";
    expect_nobody("root", "it is root");
    expect_nobody("0", "it is root");
    expect_nobody("0:1008", "it is root");
}

TEST(root_becomes_somebody_else_with_nothing_left)
{
    struct user user = found("1007:1008");

    assert_true(user_become(&user));
    assert_string_equal(process.calls, "setgroups setresgid setresuid capset ");
    assert_int_equal(process.uid, ECHO);
    assert_int_equal(process.gid, GROUP);
    assert_int_equal(process.bounding, 41);
    assert_false(process.groups || process.capabilities);
    assert_string_equal(process.logged, "");
}

TEST(who_is_that_user_already_loses_capabilities_alone)
{
    process.uid = ECHO;
    struct user user = found("1007");

    assert_true(user_become(&user));
    assert_string_equal(process.calls, "capset ");
    assert_false(process.capabilities);
}

TEST(who_has_none_need_not_drop_any)
{
    process.capabilities = false;
    process.failing = "capset";
    assert_true(user_drop_capabilities());
    assert_string_equal(process.calls, "");
}

TEST(what_fails_is_named)
{
    static const char *const calls[] = {"setgroups", "setresgid", "setresuid", "capset"};

    for (size_t i = 0; i < ARRAY_LENGTH(calls); i++) {
        process.uid = 1;
        expect_failure(calls[i]);
    }
}

TEST(a_way_back_is_a_failure)
{
    struct user user = found("1007");

    process.leaky = true;
    assert_false(user_become(&user));
    assert_non_null(strstr(process.logged, "setresuid back to root"));
}

TEST(without_a_name_nobody_changes_and_root_is_warned)
{
    struct user user = found(NULL);

    assert_int_equal(user.uid, ROOT);
    assert_true(user_become(&user));
    assert_string_equal(process.calls, "");
    assert_string_equal(process.logged, "runs as root ");
    *process.logged = '\0';
    process.uid = ECHO;
    user = found(NULL);
    assert_true(user_become(&user));
    assert_string_equal(process.logged, "");
}
