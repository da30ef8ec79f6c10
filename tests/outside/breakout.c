// SPDX-License-Identifier: MIT
// breakout: what somebody might try who has taken the daemon over, for LD_PRELOAD. It is done where
// the daemon first waits, and a line of the log tells how each attempt ended: error=0 is a success.
// BREAKOUT names one of them, or is empty for all; BREAKOUT_TOKEN is a file that may be lost.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IO_URING_SETUP = 425, PIDFD_OPEN = 434, OPENAT2 = 437 };

static long read_other_file(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static long read_token_file(void)
{
    return open(getenv("BREAKOUT_TOKEN"), O_RDONLY);
}

static long write_token_file(void)
{
    return open(getenv("BREAKOUT_TOKEN"), O_WRONLY);
}

static long make_file(void)
{
    char path[4096];

    snprintf(path, sizeof path, "%s.new", getenv("BREAKOUT_TOKEN"));
    return open(path, O_RDONLY | O_CREAT, 0600);
}

static long list_directory(void)
{
    return open("/", O_RDONLY | O_DIRECTORY);
}

static long read_own_memory(void)
{
    return open("/proc/self/mem", O_RDONLY);
}

static long remove_file(void)
{
    return unlink(getenv("BREAKOUT_TOKEN"));
}

static long open_how(void)
{
    static const uint64_t how[3];

    return syscall(OPENAT2, AT_FDCWD, "/etc/passwd", how, sizeof how);
}

static long make_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long connect_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

    return connect(STDERR_FILENO + 1, (struct sockaddr *)&address, sizeof address);
}

static long bind_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    return bind(STDERR_FILENO + 1, (struct sockaddr *)&address, sizeof address);
}

static long execute(void)
{
    return execl("/bin/true", "true", NULL);
}

static long fork_process(void)
{
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (child == 0)
        _exit(0);
    return child;
}

static long trace_parent(void)
{
    return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
}

static long be_traced(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long read_parent(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long map_program(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? -1
               : 0;
}

static long make_program(void)
{
    static _Alignas(4096) char page[4096];

    return mprotect(page, sizeof page, PROT_READ | PROT_EXEC);
}

static long kill_init(void)
{
    return kill(1, 0);
}

static long kill_parent(void)
{
    return kill(getppid(), 0);
}

static long find_process(void)
{
    return syscall(PIDFD_OPEN, 1, 0);
}

static long enter_user_namespace(void)
{
    return unshare(CLONE_NEWUSER);
}

static long enter_mount_namespace(void)
{
    return unshare(CLONE_NEWNS);
}

static long set_up_io_uring(void)
{
    char parameters[120] = {0};

    return syscall(IO_URING_SETUP, 1, parameters);
}

static long load_bpf(void)
{
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    return syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
}

static long become_root(void)
{
    return setresuid(0, 0, 0);
}

static long become_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long type_at_terminal(void)
{
    char byte = '\n';

    return ioctl(STDERR_FILENO, TIOCSTI, &byte);
}

#ifdef __x86_64__
// By the numbers of i386, where 20 is getpid: it fails for nothing else.
static long getpid_of_i386(void)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static bool has_i386;

// Where the kernel was built or started without them, such a call ends the process: SIGSEGV.
__attribute__((constructor)) static void look_for_i386(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        getpid_of_i386();
        _exit(0);
    }
    has_i386 = child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static long call_as_another_architecture(void)
{
    long result = has_i386 ? getpid_of_i386() : -ENOSYS;

    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : result;
}
#endif

static const struct attempt {
    const char *name;
    long (*make)(void);
} attempts[] = {
    {"read-token-file", read_token_file},
    {"read-other-file", read_other_file},
    {"write-token-file", write_token_file},
    {"make-file", make_file},
    {"list-directory", list_directory},
    {"read-own-memory", read_own_memory},
    {"remove-file", remove_file},
    {"openat2", open_how},
    {"socket", make_socket},
    {"connect", connect_socket},
    {"bind", bind_socket},
    {"execve", execute},
    {"clone", fork_process},
    {"ptrace", trace_parent},
    {"traceme", be_traced},
    {"process_vm_readv", read_parent},
    {"mmap-exec", map_program},
    {"mprotect-exec", make_program},
    {"kill", kill_init},
    {"kill-parent", kill_parent},
    {"pidfd_open", find_process},
    {"user-namespace", enter_user_namespace},
    {"mount-namespace", enter_mount_namespace},
    {"io_uring", set_up_io_uring},
    {"bpf", load_bpf},
    {"setresuid", become_root},
    {"dumpable", become_dumpable},
    {"tiocsti", type_at_terminal},
#ifdef __x86_64__
    {"int80", call_as_another_architecture},
#endif
};

static void say(const char *line)
{
    size_t length = strlen(line);

    if (write(STDERR_FILENO, line, length) != (ssize_t)length)
        abort();
}

static void try(const struct attempt *attempt)
{
    char line[128];

    errno = 0;
    long result = attempt->make();
    snprintf(line, sizeof line, "level=info msg=breakout attempt=%s error=%d\n", attempt->name,
             result < 0 ? errno : 0);
    say(line);
}

int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    static bool tried;
    int (*real)(int, struct epoll_event *, int, int);
    const char *wanted = getenv("BREAKOUT");

    *(void **)&real = dlsym(RTLD_NEXT, "epoll_wait"); // dlsym(3): how to get a function from it
    for (size_t i = 0; wanted && !tried && i < sizeof attempts / sizeof attempts[0]; i++)
        if (*wanted == '\0' || strcmp(wanted, attempts[i].name) == 0)
            try(&attempts[i]);
    if (wanted && !tried)
        say("level=info msg=tried\n");
    tried = true;
    return real(epfd, events, maxevents, timeout);
}
