// SPDX-License-Identifier: MIT
#include "system/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "system/user.h"

enum { HEAP_KEPT_BYTES = 1 << 20 };

// The kernel's headers have all that follows too; musl goes without them.

// <linux/audit.h>: whose numbers the system calls have.
#if defined __x86_64__ && !defined __ILP32__
enum { ARCHITECTURE = (int)0xc000003e };
#elif defined __i386__
enum { ARCHITECTURE = 0x40000003 };
#elif defined __aarch64__ && defined __AARCH64EL__
enum { ARCHITECTURE = (int)0xc00000b7 };
#elif defined __arm__ && defined __ARMEL__
enum { ARCHITECTURE = 0x40000028 };
#elif defined __riscv && __riscv_xlen == 64
enum { ARCHITECTURE = (int)0xc00000f3 };
#elif defined __powerpc64__ && defined __LITTLE_ENDIAN__
enum { ARCHITECTURE = (int)0xc0000015 };
#elif defined __s390x__
enum { ARCHITECTURE = (int)0x80000016 };
#else
enum { ARCHITECTURE = 0 }; // unknown: no filter
#endif

// <linux/filter.h>, <linux/seccomp.h>
enum { LOAD = 0x20, AND = 0x54, EQUAL = 0x15, RETURN = 0x06 };
enum { SECCOMP_FILTER = 1, SECCOMP_UNSLOWED = 4 };
static const uint32_t allow = 0x7fff0000;
#ifdef SANDBOX_KILL // for tests: what is not allowed ends the process and cannot go unseen
static const uint32_t refuse = 0x80000000;
#else
static const uint32_t refuse = 0x00050000 | EPERM;
#endif

struct instruction {
    uint16_t code;
    uint8_t yes, no; // how many instructions to leave out
    uint32_t value;
};

// What a filter is shown.
struct call {
    uint32_t number, architecture;
    uint64_t instruction_pointer, argument[6];
};

// A call that is allowed: always where MASK is 0, else if ARGUMENT has VALUE in the bits of MASK.
struct rule {
    uint32_t number;
    unsigned argument;
    uint32_t mask, value;
};

enum { NOT_READING = O_ACCMODE | O_CREAT | O_TRUNC }; // in open(2)'s flags

// ARCHITECTURE.md says what each is for. Which of them an architecture has, and which its C library
// makes of a function, differs.
static const struct rule rules[] = {
    {.number = (uint32_t)-1}, // a call that a tracer leaves out: strace, where it injects an error
    {.number = SYS_accept4},
    {.number = SYS_brk},
    {.number = SYS_close},
    {.number = SYS_epoll_ctl},
    {.number = SYS_exit_group},
    {.number = SYS_fcntl, .argument = 1, .mask = UINT32_MAX, .value = F_ADD_SEALS},
    {.number = SYS_getpeername},
    {.number = SYS_getsockname},
    {.number = SYS_getsockopt},
    {.number = SYS_madvise},
    {.number = SYS_openat, .argument = 2, .mask = NOT_READING},
    {.number = SYS_pread64},
    {.number = SYS_read},
    {.number = SYS_recvfrom},
    {.number = SYS_sendto},
    {.number = SYS_setsockopt},
    {.number = SYS_shutdown},
    {.number = SYS_write},
#ifdef SYS_clock_gettime64
    {.number = SYS_clock_gettime64},
    {.number = SYS_recvmmsg_time64},
    {.number = SYS_timerfd_settime64},
#endif
#ifdef SYS_clock_gettime
    {.number = SYS_clock_gettime},
    {.number = SYS_recvmmsg},
    {.number = SYS_timerfd_settime},
#endif
#ifdef SYS_timerfd_settime32 // musl, which asks so for a time that fits into 32 bits
    {.number = SYS_clock_gettime32},
    {.number = SYS_recvmmsg},
    {.number = SYS_timerfd_settime32},
#endif
#ifdef SYS_fcntl64
    {.number = SYS_fcntl64, .argument = 1, .mask = UINT32_MAX, .value = F_ADD_SEALS},
#endif
#ifdef SYS_recv
    {.number = SYS_recv},
    {.number = SYS_send},
#endif
#if defined __GLIBC__ && defined SYS_epoll_wait
    {.number = SYS_epoll_wait},
#else
    {.number = SYS_epoll_pwait},
#endif
#ifdef __GLIBC__
    {.number = SYS_sendmmsg},
#ifdef SYS_newfstatat
    {.number = SYS_newfstatat},
#else
    {.number = SYS_statx},
#endif
#else // musl, whose malloc(3) maps memory, and whose open(2) sets FD_CLOEXEC once more
    {.number = SYS_mremap},
    {.number = SYS_munmap},
    {.number = SYS_sendmsg},
#ifdef SYS_open
    {.number = SYS_open, .argument = 1, .mask = NOT_READING},
#endif
#if defined __s390x__ // its arguments are in memory, where no filter sees them
    {.number = SYS_mmap},
#elif defined SYS_mmap2
    {.number = SYS_mmap2, .argument = 2, .mask = PROT_EXEC},
#else
    {.number = SYS_mmap, .argument = 2, .mask = PROT_EXEC},
#endif
#if defined SYS_fcntl64 // 32 bits
    {.number = SYS_fcntl64, .argument = 1, .mask = UINT32_MAX, .value = F_SETFD},
    {.number = SYS_fstat64}, // where the kernel has no statx(2)
    {.number = SYS_sendmmsg},
    {.number = SYS_statx},
#else
    {.number = SYS_fcntl, .argument = 1, .mask = UINT32_MAX, .value = F_SETFD},
    {.number = SYS_fstat},
#endif
#endif
#if defined SYS_socketcall && (defined __i386__ || defined __s390x__)
    // One call for all that is done with sockets. These come by it there, as <linux/net.h> has
    // them; with musl, if the kernel has none of their own.
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 6},  // getsockname
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 7},  // getpeername
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 9},  // send
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 10}, // recv
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 11}, // sendto
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 12}, // recvfrom
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 13}, // shutdown
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 14}, // setsockopt
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 15}, // getsockopt
#ifndef __GLIBC__
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 16}, // sendmsg
#endif
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 18}, // accept4
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 19}, // recvmmsg
    {.number = SYS_socketcall, .mask = UINT32_MAX, .value = 20}, // sendmmsg
#endif
};

// Where a program may go on in this one's place, it starts within the filter, which outlives this
// one: these calls are what that needs besides. What could do harm is still refused: no socket of
// the network, no anonymous memory that can be executed, no namespace, no other process.
#if defined __x86_64__ || defined __aarch64__ || defined __riscv || defined __powerpc64__
enum { CAN_SUCCEED = true };
static const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
static const struct rule succession[] = {
    {.number = SYS_capget},
    {.number = SYS_clone, .argument = 0, .mask = namespaces},
    {.number = SYS_epoll_create1},
    {.number = SYS_execve},
    {.number = SYS_fcntl, .argument = 1, .mask = ~7U}, // up to F_SETLKW
    {.number = SYS_fcntl, .argument = 1, .mask = UINT32_MAX, .value = F_ADD_SEALS},
    {.number = SYS_fcntl, .argument = 1, .mask = UINT32_MAX, .value = F_GET_SEALS},
    {.number = SYS_getegid},
    {.number = SYS_geteuid},
    {.number = SYS_getrandom},
    {.number = SYS_getresuid},
    {.number = SYS_memfd_create},
    {.number = SYS_mmap, .argument = 2, .mask = PROT_EXEC},
    {.number = SYS_mmap, .argument = 3, .mask = MAP_ANONYMOUS}, // a library, then
    {.number = SYS_mprotect, .argument = 2, .mask = PROT_EXEC},
    {.number = SYS_munmap},
    {.number = SYS_pipe2},
    {.number = SYS_prctl, .argument = 1, .mask = UINT32_MAX}, // to ask, or not to be dumpable
    {.number = SYS_prlimit64},
    {.number = SYS_rseq},
    {.number = SYS_rt_sigaction},
    {.number = SYS_rt_sigprocmask},
    {.number = SYS_set_robust_list},
    {.number = SYS_set_tid_address},
    {.number = SYS_setitimer},
    {.number = SYS_signalfd4},
    {.number = SYS_socketpair, .argument = 0, .mask = UINT32_MAX, .value = AF_UNIX},
    {.number = SYS_timerfd_create},
#ifdef SYS_alarm
    {.number = SYS_alarm},
#endif
#ifdef SYS_arch_prctl
    {.number = SYS_arch_prctl},
#endif
#ifdef SYS_fork
    {.number = SYS_fork},
#endif
};
#else // whose mmap(2) or clone(2) hide from a filter what they do
enum { CAN_SUCCEED = false };
static const struct rule succession[] = {{.number = (uint32_t)-1}};
#endif

enum {
    RULE_MAX = 6,
    PROGRAM_MAX = 5 + RULE_MAX * (int)(ARRAY_LENGTH(rules) + ARRAY_LENGTH(succession)),
};

static struct instruction load(size_t offset)
{
    return (struct instruction){.code = LOAD, .value = (uint32_t)offset};
}

// The lower half of ARGUMENT: all that the kernel takes of a number that is an int.
static struct instruction load_argument(unsigned argument)
{
    bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

    return load(offsetof(struct call, argument) + 8 * argument + 4 * big_endian);
}

// Where the call's number has been loaded: allows what RULE does, and else goes on with the number
// loaded. Returns the end of what was added at PROGRAM.
static struct instruction *add(struct instruction *program, const struct rule *rule)
{
    static const struct instruction allowed = {.code = RETURN, .value = allow};
    bool always = rule->mask == 0;

    *program++ = (struct instruction){EQUAL, 0, always ? 1 : RULE_MAX - 1, rule->number};
    if (!always) {
        *program++ = load_argument(rule->argument);
        *program++ = (struct instruction){.code = AND, .value = rule->mask};
        *program++ = (struct instruction){EQUAL, 0, 1, rule->value};
    }
    *program++ = allowed;
    if (!always)
        *program++ = load(offsetof(struct call, number));
    return program;
}

// False with errno. Not by prctl(2), as it slows the process down where the kernel fears for
// seccomp's users (before Linux 5.16), and takes valgrind's own calls for ours.
static bool filter_calls(bool succeeds)
{
    struct instruction program[PROGRAM_MAX], *end = program;
    struct {
        unsigned short length;
        struct instruction *program;
    } filter = {.program = program};

    if (ARCHITECTURE == 0) {
        errno = ENOSYS;
        return false;
    }
    *end++ = load(offsetof(struct call, architecture));
    *end++ = (struct instruction){EQUAL, 1, 0, (uint32_t)ARCHITECTURE};
    *end++ = (struct instruction){.code = RETURN, .value = refuse};
    *end++ = load(offsetof(struct call, number));
    for (size_t i = 0; i < ARRAY_LENGTH(rules); i++)
        end = add(end, &rules[i]);
    for (size_t i = 0; succeeds && i < ARRAY_LENGTH(succession); i++)
        end = add(end, &succession[i]);
    *end++ = (struct instruction){.code = RETURN, .value = refuse};
    filter.length = (unsigned short)(end - program);
    return syscall(SYS_seccomp, SECCOMP_FILTER, SECCOMP_UNSLOWED, &filter) == 0 ||
           syscall(SYS_seccomp, SECCOMP_FILTER, 0, &filter) == 0; // before Linux 4.17
}

// <linux/landlock.h>, where every architecture has the same numbers.
enum { CREATE_RULESET = 444, ADD_RULE, RESTRICT_SELF };
enum { RULESET_VERSION = 1, PATH_BENEATH = 1, SIGNALS = 1 << 1 };
enum { EXECUTE_FILE = 1 << 0, READ_FILE = 1 << 2 };

struct ruleset {
    uint64_t files, network, scoped;
};

// All that each version of the interface can forbid, but for sending to abstract sockets: such a
// one can be the service manager's.
static struct ruleset everything(long version, size_t *size)
{
    static const int file_rights[] = {13, 14, 15, 15, 16};
    size_t newest = ARRAY_LENGTH(file_rights) - 1, index = (size_t)version - 1;
    int rights = file_rights[index < newest ? index : newest];

    *size = version < 4   ? offsetof(struct ruleset, network)
            : version < 6 ? offsetof(struct ruleset, scoped)
                          : sizeof(struct ruleset);
    return (struct ruleset){.files = (UINT64_C(1) << rights) - 1, .network = 3, .scoped = SIGNALS};
}

// Grants RIGHTS to the files in the directory of PATH. Of the root directory, that is PATH alone.
static void grant_there(int ruleset, const char *path, uint64_t rights)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t length = !slash ? 1 : slash == path ? strlen(path) : (size_t)(slash - path);

    if (length >= sizeof directory)
        return;
    if (slash)
        memcpy(directory, path, length);
    directory[length] = '\0';
    struct {
        uint64_t allowed;
        int fd;
    } __attribute__((packed)) beneath = {rights, open(directory, O_PATH | O_CLOEXEC)};
    if (beneath.fd < 0)
        return; // it can be read no better then
    syscall(ADD_RULE, ruleset, PATH_BENEATH, &beneath, 0);
    close(beneath.fd);
}

static void grant(int ruleset, const char *path, uint64_t rights)
{
    char real[PATH_MAX];

    grant_there(ruleset, path, rights);
    if (realpath(path, real)) // it may be a link
        grant_there(ruleset, real, rights);
}

// For one of the files that this program consists of.
static int grant_library(struct dl_phdr_info *library, size_t size, void *ruleset)
{
    (void)size;
    if (library->dlpi_name[0] == '/')
        grant(*(int *)ruleset, library->dlpi_name, READ_FILE | EXECUTE_FILE);
    return 0;
}

// What a program needs to start in this one's place.
static void grant_succession(int ruleset, const char *successor)
{
    grant(ruleset, successor, READ_FILE | EXECUTE_FILE);
    dl_iterate_phdr(grant_library, &ruleset);
}

// False with errno.
static bool close_files(const char *token_file, const char *successor)
{
    size_t size;
    long version = syscall(CREATE_RULESET, NULL, (size_t)0, RULESET_VERSION);

    if (version < 1)
        return false;
    struct ruleset ruleset = everything(version, &size);
    int fd = (int)syscall(CREATE_RULESET, &ruleset, size, 0);
    if (fd < 0)
        return false;
    if (token_file)
        grant(fd, token_file, READ_FILE);
    if (successor)
        grant_succession(fd, successor);
    bool closed = syscall(RESTRICT_SELF, fd, 0) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return closed;
}

void sandbox_prepare(void)
{
    tzset(); // which reads a file
#ifdef __GLIBC__
    // malloc(3) then grows the heap, and maps nothing. What is free at its end is kept for the next
    // buffer, until pool_trim gives it back.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
#endif
}

// All that can be, also where one of them cannot.
static bool drop_privileges(void)
{
    bool undumpable = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
    bool settled = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ||
                   prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; // by the program before this one

    return user_drop_capabilities() && undumpable && settled;
}

void sandbox_enter(const char *token_file, const char *successor)
{
    bool succeeds = CAN_SUCCEED && successor;
    const char *privileges = drop_privileges() ? "dropped" : "not all dropped";
    const char *files =
        close_files(token_file, succeeds ? successor : NULL) ? "closed" : strerror(errno);
    const char *calls = filter_calls(succeeds) ? "filtered" : strerror(errno);

    log_event(LOG_DEBUG, "sandbox", LOG_TEXT("privileges", privileges), LOG_TEXT("files", files),
              LOG_TEXT("calls", calls));
}
