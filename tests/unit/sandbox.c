// SPDX-License-Identifier: MIT
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/log.h"
#include "system/sandbox.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { CALLS_MAX = 24, NUMBERS = 1024, ROOM = 1024, RULES_MAX = 4, RULESET_FD = 1000 };

// The system that the sandbox asks for what it has, and what it was told.
static struct {
    int version;       // of Landlock; 0: it has none
    int ruleset_fails; // errno of the call that makes a ruleset
    int flags;         // that seccomp(2) knows, or -1: it has no filters
    int failing;       // a prctl(2) option
    bool capabilities_stay;
    size_t ruleset_size;
    uint64_t ruleset[3];
    uint64_t allowed[RULES_MAX];
    struct stat beneath[RULES_MAX];
    size_t rules;
    bool restricted, undumpable, no_new_privileges, no_capabilities;
    struct sock_filter program[ROOM];
    size_t length;
    char logged[256];
} kernel;

static long refused(int error)
{
    errno = error;
    return -1;
}

static long take_ruleset(const uint64_t *ruleset, size_t size, unsigned flags)
{
    if (kernel.version == 0)
        return refused(ENOSYS);
    if (flags == LANDLOCK_CREATE_RULESET_VERSION)
        return kernel.version;
    if (kernel.ruleset_fails)
        return refused(kernel.ruleset_fails);
    kernel.ruleset_size = size;
    memcpy(kernel.ruleset, ruleset, size);
    return dup2(STDERR_FILENO, RULESET_FD);
}

static long take_rule(int fd, int type, const struct landlock_path_beneath_attr *rule)
{
    assert_int_equal(fd, RULESET_FD);
    assert_int_equal(type, LANDLOCK_RULE_PATH_BENEATH);
    assert_in_range(kernel.rules, 0, RULES_MAX - 1);
    assert_int_equal(fstat(rule->parent_fd, &kernel.beneath[kernel.rules]), 0);
    kernel.allowed[kernel.rules++] = rule->allowed_access;
    return 0;
}

static long take_filter(unsigned flags, const struct sock_fprog *filter)
{
    if (kernel.flags < 0 || (flags & ~(unsigned)kernel.flags))
        return refused(EINVAL);
    assert_in_range(filter->len, 1, ROOM);
    kernel.length = filter->len;
    memcpy(kernel.program, filter->filter, filter->len * sizeof *filter->filter);
    return 0;
}

static long take_call(long number, va_list arguments)
{
    long first = number == SYS_landlock_create_ruleset ? 0 : va_arg(arguments, int);

    switch (number) {
    case SYS_landlock_create_ruleset: {
        const uint64_t *ruleset = va_arg(arguments, const uint64_t *);
        size_t size = va_arg(arguments, size_t);
        return take_ruleset(ruleset, size, va_arg(arguments, unsigned));
    }
    case SYS_landlock_add_rule: {
        int type = va_arg(arguments, int);
        return take_rule((int)first, type, va_arg(arguments, const void *));
    }
    case SYS_landlock_restrict_self:
        assert_int_equal(first, RULESET_FD);
        kernel.restricted = true;
        return kernel.no_new_privileges ? 0 : refused(EPERM);
    case SYS_seccomp: {
        unsigned flags = va_arg(arguments, unsigned);
        assert_int_equal(first, SECCOMP_SET_MODE_FILTER);
        return take_filter(flags, va_arg(arguments, const void *));
    }
    default:
        fail();
        return -1;
    }
}

long __wrap_syscall(long number, ...)
{
    va_list arguments;

    if (number == SYS_capget || (number == SYS_capset && kernel.capabilities_stay))
        return refused(EPERM);
    if (number == SYS_capset) {
        kernel.no_capabilities = true;
        return 0;
    }
    va_start(arguments, number);
    long result = take_call(number, arguments);
    va_end(arguments);
    return result;
}

int __wrap_prctl(int option, unsigned long value)
{
    if (option == PR_CAPBSET_DROP || option == kernel.failing)
        return (int)refused(EPERM);
    if (option == PR_SET_DUMPABLE)
        kernel.undumpable = value == 0;
    if (option == PR_SET_NO_NEW_PRIVS)
        kernel.no_new_privileges = value == 1;
    return 0;
}

static bool sink(enum log_level level, const struct log_field *fields, size_t count, uint64_t lost)
{
    (void)lost;
    assert_int_equal(level, LOG_DEBUG);
    *kernel.logged = '\0';
    for (size_t i = 1; i < count; i++) {
        strcat(kernel.logged, fields[i].text);
        strcat(kernel.logged, i + 1 < count ? ", " : "");
    }
    return true;
}

BEFORE_EACH
{
    memset(&kernel, 0, sizeof kernel);
    kernel.version = 7;
    kernel.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    log_set_level(LOG_DEBUG);
    log_set_sink(sink);
}

// And nothing stays open.
AFTER_EACH
{
    assert_int_equal(close(RULESET_FD), -1);
}

// What the kernel would do with the filter: bpf(4) as far as it is used.
static uint32_t decide(const struct seccomp_data *call)
{
    uint32_t a = 0;

    for (size_t at = 0; at < kernel.length;) {
        struct sock_filter step = kernel.program[at++];

        switch (step.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(step.k % 4 == 0 && step.k < sizeof *call);
            memcpy(&a, (const char *)call + step.k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= step.k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            at += a == step.k ? step.jt : step.jf;
            break;
        case BPF_RET | BPF_K:
            return step.k;
        default:
            fail();
        }
    }
    fail_msg("it runs off the end");
    return 0;
}

static uint32_t architecture(void)
{
    // The program's second step compares with what its first has loaded.
    assert_int_equal(kernel.program[0].k, offsetof(struct seccomp_data, arch));
    return kernel.program[1].k;
}

static bool allows(long number, uint64_t first, uint64_t second, uint64_t third)
{
    struct seccomp_data call = {
        .nr = (int)number, .arch = architecture(), .args = {first, second, third}};

    return decide(&call) == SECCOMP_RET_ALLOW;
}

TEST(a_filter_has_few_calls_and_none_that_opens_a_way_out)
{
    static const long refused_ones[] = {
        SYS_socket,
        SYS_connect,
        SYS_bind,
        SYS_execve,
        SYS_ptrace,
        SYS_kill,
        SYS_clone,
        SYS_unshare,
        SYS_prctl,
        SYS_mprotect,
        SYS_process_vm_readv,
        SYS_bpf,
        SYS_seccomp,
        SYS_setuid,
        SYS_fcntl,
        SYS_dup,
        SYS_sendfile,
        SYS_memfd_create,
        425 /* io_uring_setup */,
    };
    size_t count = 0;

    sandbox_enter(NULL, NULL);
    for (long number = 0; number < NUMBERS; number++)
        count += allows(number, 0, 0, 0);
#if defined __x86_64__ && defined __GLIBC__
    assert_in_range(count, 1, CALLS_MAX);
#endif
    for (size_t i = 0; i < ARRAY_LENGTH(refused_ones); i++)
        assert_false(allows(refused_ones[i], 0, 0, 0));
    assert_true(allows(SYS_read, 0, 0, 0));
    assert_true(allows(SYS_exit_group, 0, 0, 0));
    assert_true(allows(-1, 0, 0, 0)); // which is none
}

TEST(what_is_refused_fails_with_EPERM)
{
    sandbox_enter(NULL, NULL);
    struct seccomp_data call = {.nr = SYS_execve, .arch = architecture()};
#ifdef SANDBOX_KILL
    assert_int_equal(decide(&call), SECCOMP_RET_KILL_PROCESS);
#else
    assert_int_equal(decide(&call), SECCOMP_RET_ERRNO | EPERM);
#endif
}

TEST(another_architecture_s_numbers_are_not_taken_for_ours)
{
    sandbox_enter(NULL, NULL);
    struct seccomp_data call = {.nr = SYS_read, .arch = architecture() ^ 0x100};

    assert_int_not_equal(decide(&call), SECCOMP_RET_ALLOW);
    assert_false(allows(SYS_read | 0x40000000, 0, 0, 0)); // x32
}

TEST(files_are_opened_for_reading_alone)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC};

    sandbox_enter("/run/token", NULL);
    assert_true(allows(SYS_openat, 0, 0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++)
        assert_false(allows(SYS_openat, 0, 0, (uint64_t)flags[i]));
}

TEST(no_memory_becomes_a_program)
{
    sandbox_enter(NULL, NULL);
#ifdef SYS_mmap
    assert_false(allows(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
    assert_false(allows(SYS_mmap, 0, 4096, PROT_EXEC));
#endif
    assert_false(allows(SYS_mprotect, 0, 4096, PROT_EXEC));
}

TEST(it_has_no_privileges_and_no_tracer)
{
    sandbox_enter(NULL, NULL);
    assert_true(kernel.no_capabilities && kernel.undumpable && kernel.no_new_privileges);
    assert_true(kernel.restricted);
    assert_string_equal(kernel.logged, "dropped, closed, filtered");
}

TEST(a_system_that_lacks_something_gets_the_rest)
{
    kernel.version = 0;
    sandbox_enter("/run/token", NULL);
    assert_string_equal(kernel.logged, "dropped, Function not implemented, filtered");
    kernel.version = 1;
    kernel.ruleset_fails = EOPNOTSUPP;
    sandbox_enter("/run/token", NULL);
    assert_string_equal(kernel.logged, "dropped, Operation not supported, filtered");
    kernel.ruleset_fails = 0;
    kernel.flags = -1;
    sandbox_enter("/run/token", NULL);
    assert_string_equal(kernel.logged, "dropped, closed, Invalid argument");
}

TEST(a_kernel_that_does_not_know_the_flag_filters_without_it)
{
    kernel.flags = 0;
    sandbox_enter(NULL, NULL);
    assert_string_equal(kernel.logged, "dropped, closed, filtered");
    assert_false(allows(SYS_execve, 0, 0, 0));
}

TEST(a_failure_is_told_in_its_place_and_keeps_nothing_else_back)
{
    static const char told[] = "not all dropped, closed, filtered";

    kernel.failing = PR_SET_NO_NEW_PRIVS;
    sandbox_enter(NULL, NULL);
    assert_string_equal(kernel.logged, "not all dropped, Operation not permitted, filtered");
    assert_true(kernel.undumpable && kernel.no_capabilities);
    kernel.failing = PR_SET_DUMPABLE;
    sandbox_enter(NULL, NULL);
    assert_string_equal(kernel.logged, told);
    assert_true(kernel.no_new_privileges && kernel.no_capabilities);
    kernel.failing = -1;
    kernel.capabilities_stay = true;
    sandbox_enter(NULL, NULL);
    assert_string_equal(kernel.logged, told);
}

TEST(each_version_of_landlock_is_asked_for_all_that_it_has)
{
    static const struct {
        int version;
        size_t size;
        uint64_t files, network, scoped;
    } row[] = {
        {1, 8, 0x1fff, 0, 0},  {2, 8, 0x3fff, 0, 0},  {3, 8, 0x7fff, 0, 0},  {4, 16, 0x7fff, 3, 0},
        {5, 16, 0xffff, 3, 0}, {6, 24, 0xffff, 3, 2}, {7, 24, 0xffff, 3, 2}, {99, 24, 0xffff, 3, 2},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        memset(kernel.ruleset, 0, sizeof kernel.ruleset);
        kernel.version = row[i].version;
        sandbox_enter(NULL, NULL);
        assert_int_equal(kernel.ruleset_size, row[i].size);
        assert_int_equal(kernel.ruleset[0], row[i].files);
        assert_int_equal(kernel.ruleset[1], row[i].network);
        assert_int_equal(kernel.ruleset[2], row[i].scoped);
        assert_int_equal(kernel.rules, 0); // nothing can be opened
    }
}

static bool same_file(const struct stat *status, const char *path)
{
    struct stat other;

    assert_int_equal(stat(path, &other), 0);
    return status->st_dev == other.st_dev && status->st_ino == other.st_ino;
}

static void expect_readable(const char *token_file, const char *path)
{
    kernel.rules = 0;
    sandbox_enter(token_file, NULL);
    assert_in_range(kernel.rules, 1, 2);
    assert_int_equal(kernel.allowed[0], LANDLOCK_ACCESS_FS_READ_FILE);
    assert_true(same_file(&kernel.beneath[0], path));
}

TEST(what_can_be_read_is_the_token_s_directory)
{
    static char long_path[6000];

    expect_readable("/etc/passwd", "/etc");
    expect_readable("/etc/none", "/etc"); // a file that comes later
    expect_readable("none", ".");
    expect_readable("../none", "..");
    kernel.rules = 0;
    sandbox_enter("/none/none", NULL);
    memset(long_path, '/', sizeof long_path - 2);
    long_path[sizeof long_path - 2] = 'x';
    sandbox_enter(long_path, NULL);
    assert_int_equal(kernel.rules, 0);
}

TEST(of_the_root_directory_the_token_alone_can_be_read)
{
    expect_readable("/etc", "/etc"); // which is a directory, for want of a file
    kernel.rules = 0;
    sandbox_enter("/none", NULL);
    assert_int_equal(kernel.rules, 0);
}

TEST(a_link_and_what_it_leads_to_can_be_read)
{
    char directory[] = "/tmp/unit-sandbox-XXXXXX", link[64];

    assert_non_null(mkdtemp(directory));
    snprintf(link, sizeof link, "%s/token", directory);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    expect_readable(link, directory);
    assert_int_equal(kernel.rules, 2);
    assert_true(same_file(&kernel.beneath[1], "/etc"));
    unlink(link);
    rmdir(directory);
}
