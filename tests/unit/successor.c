// SPDX-License-Identifier: MIT
// The program that goes on, with the shell in its place.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/successor.h"

#define VARIABLE "EPOLL_ECHO_HANDOVER"

enum { PATIENCE_MILLISECONDS = 30000 };

static struct successor successor;
static int pair[2]; // a flight's ends

BEFORE_EACH
{
    unsetenv(VARIABLE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

AFTER_EACH
{
    close(pair[0]);
    close(pair[1]);
}

static char *words[] = {"/bin/sh", "-c", NULL, NULL};

static void succeed_by(char *script)
{
    words[2] = script;
    successor_init(&successor, words);
}

static void name(const char *format, int flight, int trial)
{
    char text[100];

    snprintf(text, sizeof text, format, flight, trial);
    setenv(VARIABLE, text, 1);
}

static void name_alone(int flight)
{
    char text[100];

    snprintf(text, sizeof text, "%d", flight);
    setenv(VARIABLE, text, 1);
}

static bool closes(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

TEST(it_is_found_as_it_was_named)
{
    char *named[] = {"/some/where/../epoll-echo", "-v", NULL}, *relative[] = {"./epoll-echo", NULL};

    successor_init(&successor, named);
    assert_string_equal(successor.path, "/some/where/../epoll-echo");
    assert_ptr_equal(successor.arguments, named);
    successor_init(&successor, relative);
    assert_string_equal(successor.path, "./epoll-echo");
}

TEST(without_a_slash_the_kernel_knows)
{
    static char longer[PATH_MAX + 10];
    char *plain[] = {"successor", NULL}, *none[] = {NULL}, *too_long[] = {longer, NULL};
    char real[PATH_MAX] = {0};

    assert_true(readlink("/proc/self/exe", real, sizeof real - 1) > 0);
    memset(longer, '/', sizeof longer - 1);
    successor_init(&successor, plain);
    assert_string_equal(successor.path, real);
    successor_init(&successor, none);
    assert_string_equal(successor.path, real);
    successor_init(&successor, too_long);
    assert_string_equal(successor.path, real);
    longer[PATH_MAX - 1] = '\0';
    successor_init(&successor, too_long);
    assert_string_equal(successor.path, longer);
    longer[PATH_MAX - 1] = '/';
    longer[PATH_MAX] = '\0';
    successor_init(&successor, too_long);
    assert_string_equal(successor.path, real);
}

TEST(nothing_is_given_unless_it_is_named)
{
    int trial = 5;

    assert_int_equal(successor_given(&trial), -1);
    assert_int_equal(trial, -1);
}

TEST(what_is_given_is_taken_and_told_to_nobody_else)
{
    int trial = 5, answer = dup(0);

    fcntl(pair[0], F_SETFD, 0);
    name_alone(pair[0]);
    assert_int_equal(successor_given(&trial), pair[0]);
    assert_int_equal(trial, -1);
    assert_true(closes(pair[0]));
    assert_null(getenv(VARIABLE));
    name("%d:%d", pair[0], answer);
    assert_int_equal(successor_given(&trial), pair[0]);
    assert_int_equal(trial, answer);
    assert_true(closes(answer));
    assert_null(getenv(VARIABLE));
    close(answer);
}

TEST(what_is_malformed_is_nothing_and_goes_too)
{
    static const char *const row[] = {
        "",           "x",          "-1",  "%d ", " %d", "0x3", "99999999999999999999",
        "2147483648", "2147483647", ":%d", ":",   "1",   "999"};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        int trial = 5;

        name(row[i], pair[0], 0);
        assert_int_equal(successor_given(&trial), -1);
        assert_int_equal(trial, -1);
        assert_null(getenv(VARIABLE));
    }
    assert_false(closes(STDOUT_FILENO) && isatty(STDOUT_FILENO));
}

TEST(a_trial_that_is_malformed_is_none)
{
    static const char *const row[] = {"%d:", "%d:x", "%d:-1", "%d:999", "%d:1:2"};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        int trial = 5;

        name(row[i], pair[0], 0);
        assert_int_equal(successor_given(&trial), pair[0]);
        assert_int_equal(trial, -1);
    }
}

// A byte that can be read from FD: 1, the end: 0.
static ssize_t answer(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char byte;

    assert_true(fd >= 0);
    assert_true(closes(fd));
    assert_int_equal(poll(&wait, 1, PATIENCE_MILLISECONDS), 1);
    ssize_t got = read(fd, &byte, 1);
    close(fd);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    return got;
}

TEST(a_trial_says_that_it_can)
{
    succeed_by("fd=${" VARIABLE "#*:}; printf . >&$fd");
    assert_int_equal(answer(successor_try(&successor, pair[0])), 1);
    assert_null(getenv(VARIABLE));
    assert_true(closes(pair[0]));
}

TEST(a_trial_has_the_flight)
{
    static const char at[] =
        "fd=${" VARIABLE "%%:*}; test -S /proc/self/fd/$fd && printf . >&${" VARIABLE "#*:}";
    char script[sizeof at];

    memcpy(script, at, sizeof at);
    succeed_by(script);
    assert_int_equal(answer(successor_try(&successor, pair[0])), 1);
}

TEST(a_trial_that_ends_cannot)
{
    succeed_by("exit 0");
    assert_int_equal(answer(successor_try(&successor, pair[0])), 0);
    succeed_by("kill -9 $$");
    assert_int_equal(answer(successor_try(&successor, pair[0])), 0);
}

TEST(what_cannot_be_started_cannot)
{
    char *none[] = {"/nowhere/at-all", NULL};

    successor_init(&successor, none);
    assert_int_equal(answer(successor_try(&successor, pair[0])), 0);
    successor_become(&successor, pair[0]);
    assert_int_equal(errno, ENOENT);
    assert_null(getenv(VARIABLE));
    assert_true(closes(pair[0]));
    *successor.path = '\0';
    successor_become(&successor, pair[0]);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(answer(successor_try(&successor, pair[0])), 0);
}

// However this process was started. The shell tells what it was left with.
TEST(a_trial_ends_in_time)
{
    sigset_t all;

    signal(SIGALRM, SIG_IGN);
    sigemptyset(&all);
    sigaddset(&all, SIGALRM);
    sigprocmask(SIG_BLOCK, &all, NULL);
    succeed_by("kill -ALRM $$; printf . >&${" VARIABLE "#*:}");
    assert_int_equal(answer(successor_try(&successor, pair[0])), 0);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    signal(SIGALRM, SIG_DFL);
}

TEST(who_can_says_so_by_a_byte)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    successor_can(ends[1]);
    close(ends[1]);
    assert_int_equal(answer(ends[0]), 1);
    successor_can(-1); // nobody hears it
}

// In a child, as it does not come back.
static int become(char *script, int flight)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        succeed_by(script);
        successor_become(&successor, flight);
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(it_becomes_the_program_with_the_flight)
{
    assert_int_equal(become("test -S /proc/self/fd/$" VARIABLE " && exit 7", pair[0]), 7);
    assert_int_equal(become("exit 8", pair[0]), 8);
}

TEST(without_descriptors_nothing_is_tried)
{
    struct rlimit limit, less;
    int next = dup(0);

    close(next);
    succeed_by("exit 0");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    less = (struct rlimit){(rlim_t)next + 1, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_int_equal(successor_try(&successor, pair[0]), -1);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
