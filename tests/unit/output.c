// SPDX-License-Identifier: MIT
// Standard error is a terminal, a pipe, a socket, a file; nothing waits for whoever reads it.
// open(2) may be told to fail.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "ground/output.h"

enum { WAITED_SECONDS = 30, READ_MAX_BYTES = 1 << 20 };

static struct {
    int real, inherited, reading;
    const char *refused; // what of open(2)'s paths cannot be opened: those that begin so
    char got[READ_MAX_BYTES + 1], expected[READ_MAX_BYTES + 1];
    unsigned next; // line to be written
} test;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    if (strncmp(path, test.refused, strlen(test.refused)) == 0 && *test.refused) {
        errno = EACCES;
        return -1;
    }
    return __real_open64(path, flags, 0600);
}

BEFORE_EACH
{
    test.real = dup(STDERR_FILENO);
    test.inherited = test.reading = -1;
    test.refused = "";
    test.next = 0;
    *test.expected = '\0';
    alarm(WAITED_SECONDS);
}

AFTER_EACH
{
    alarm(0);
    output_close();
    dup2(test.real, STDERR_FILENO);
    close(test.real);
    close(test.inherited);
    close(test.reading);
}

static void become(int errors, int reading)
{
    dup2(errors, STDERR_FILENO);
    test.inherited = errors;
    test.reading = reading;
    fcntl(reading, F_SETFL, O_NONBLOCK);
}

static int open_terminal(int *reading)
{
    struct termios as_it_is;
    int terminal;

    *reading = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(*reading >= 0);
    grantpt(*reading);
    unlockpt(*reading);
    terminal = open(ptsname(*reading), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    tcgetattr(terminal, &as_it_is);
    as_it_is.c_oflag &= (tcflag_t)~ONLCR; // what is read is what was written
    tcsetattr(terminal, TCSANOW, &as_it_is);
    return terminal;
}

static void become_terminal(void)
{
    int reading, terminal = open_terminal(&reading);

    become(terminal, reading);
}

static void become_pipe(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    become(ends[1], ends[0]);
}

static void become_socket(int type)
{
    int ends[2], bytes = 4096;

    assert_int_equal(socketpair(AF_UNIX, type, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    become(ends[1], ends[0]);
}

// A line like no other; it is expected to be read if it was taken.
static bool write_line(void)
{
    char line[256];
    int length = snprintf(line, sizeof line, "line %0*u\n", 20 + (int)(test.next % 97), test.next);

    test.next++;
    if (!output_line(line, (size_t)length))
        return false;
    strcat(test.expected, line);
    return true;
}

static unsigned write_until_full(void)
{
    unsigned lines = 0;

    while (write_line())
        lines++;
    return lines;
}

static void read_some(size_t most)
{
    size_t length = strlen(test.got);
    ssize_t got = read(test.reading, test.got + length,
                       most < READ_MAX_BYTES - length ? most : READ_MAX_BYTES - length);

    test.got[length + (size_t)(got > 0 ? got : 0)] = '\0';
}

static void read_all(void)
{
    size_t before;

    do {
        before = strlen(test.got);
        read_some(READ_MAX_BYTES);
    } while (strlen(test.got) > before);
}

// Whatever the reader does, it reads the lines that were taken, whole and in order.
static void expect_whole_lines(void)
{
    *test.got = '\0';
    assert_true(write_until_full() > 0);
    assert_false(fcntl(test.inherited, F_GETFL) & O_NONBLOCK); // others share it
    for (size_t most = 1; most < 5000; most += most / 2 + 1) {
        read_some(most);
        write_until_full();
    }
    read_all();
    assert_true(write_line()); // and what was missing before it
    read_all();
    assert_string_equal(test.got, test.expected);
}

TEST(a_terminal_that_nobody_reads_is_not_waited_for)
{
    become_terminal();
    assert_true(output_open());
    expect_whole_lines();
}

TEST(nor_is_one_that_is_stopped)
{
    become_terminal();
    assert_true(output_open());
    tcflow(STDERR_FILENO, TCOOFF);
    assert_false(write_line());
    tcflow(STDERR_FILENO, TCOON);
    assert_true(write_line());
}

TEST(nor_is_a_pipe)
{
    become_pipe();
    assert_true(output_open());
    expect_whole_lines();
}

TEST(nor_is_a_pipe_that_cannot_be_opened_once_more)
{
    test.refused = "/";
    become_pipe();
    assert_true(output_open());
    expect_whole_lines();
}

// As /dev/null is.
TEST(what_cannot_be_watched_waits_for_nobody)
{
    test.refused = "/proc";
    become(open("/dev/null", O_WRONLY), dup(STDIN_FILENO));
    assert_true(output_open());
    assert_true(write_line());
    output_close();
}

TEST(what_watches_a_pipe_is_closed_in_the_end)
{
    become_pipe();
    test.refused = "/";
    int next = dup(STDERR_FILENO);
    close(next);
    assert_true(output_open());
    assert_int_equal(fcntl(next, F_GETFD), FD_CLOEXEC);
    output_close();
    assert_int_equal(fcntl(next, F_GETFD), -1);
}

TEST(nor_is_a_socket)
{
    become_socket(SOCK_STREAM);
    assert_true(output_open());
    expect_whole_lines();
    output_close();
    become_socket(SOCK_DGRAM);
    assert_true(output_open());
    assert_true(write_until_full() > 0);
}

// A connection takes what there is room for.
TEST(what_a_socket_took_in_part_is_finished)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t length = sizeof address;
    int listening = socket(AF_INET6, SOCK_STREAM, 0), own = socket(AF_INET6, SOCK_STREAM, 0);
    int bytes = 4096;

    setsockopt(own, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    assert_int_equal(bind(listening, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&address, &length);
    assert_int_equal(connect(own, (struct sockaddr *)&address, length), 0);
    become(own, accept(listening, NULL, NULL));
    close(listening);
    assert_true(output_open());
    *test.got = '\0';
    assert_true(write_until_full() > 0);
    while (!write_line())
        read_all();
    while (strlen(test.got) < strlen(test.expected))
        read_all();
    assert_string_equal(test.got, test.expected);
}

TEST(a_reader_that_is_gone_kills_nobody)
{
    become_socket(SOCK_STREAM);
    assert_true(output_open());
    close(test.reading);
    assert_false(write_line());
}

static void become_file(void)
{
    char name[] = "/tmp/unit-output-XXXXXX";
    int fd = mkstemp(name);

    unlink(name);
    become(fd, dup(fd));
}

static void read_file(void)
{
    ssize_t got = pread(test.reading, test.got, READ_MAX_BYTES, 0);

    test.got[got > 0 ? got : 0] = '\0';
}

TEST(what_a_full_disk_took_in_part_is_finished_when_there_is_room)
{
    struct rlimit before, limit;

    become_file();
    assert_true(output_open());
    signal(SIGXFSZ, SIG_IGN); // as the server does
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 990;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unsigned lines = write_until_full();
    read_file();
    assert_true(lines > 0);
    assert_int_equal(strlen(test.got), 990);
    assert_int_not_equal(test.got[989], '\n'); // the test is one of a part
    assert_false(write_line());
    limit.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_false(write_line()); // not even the rest has room
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(write_line());
    read_file();
    assert_string_equal(test.got, test.expected);
}

// As in { epoll-echo; date; } 2>log
TEST(a_file_is_written_at_the_place_that_others_share)
{
    become_file();
    assert_true(output_open());
    assert_int_equal(write(STDERR_FILENO, "before\n", 7), 7);
    strcpy(test.expected, "before\n");
    write_line();
    assert_int_equal(write(STDERR_FILENO, "after\n", 6), 6);
    strcat(test.expected, "after\n");
    read_file();
    assert_string_equal(test.got, test.expected);
}

TEST(a_terminal_that_cannot_be_opened_once_more_is_told_of)
{
    become_terminal();
    test.refused = "/";
    assert_false(output_open());
    assert_int_equal(errno, EACCES);
    assert_true(write_line());
}

// In a session that has CONTROLLING for its terminal, and another one or the same as standard
// error.
static void in_session(int controlling, int errors)
{
    setsid();
    alarm(WAITED_SECONDS); // a child has none
    if (ioctl(controlling, TIOCSCTTY, 0) < 0)
        exit(2);
    dup2(errors, STDERR_FILENO);
    test.refused = "/proc";
    if (!output_open())
        exit(errno == EACCES ? 1 : 3);
    write_until_full();
    exit(0); // not _exit(2), without which gcov does not count
}

static int exit_status_in_session(int controlling, int errors)
{
    int status;

    fflush(NULL); // or the child writes it too
    pid_t pid = fork();

    if (pid == 0)
        in_session(controlling, errors);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(the_controlling_terminal_may_be_another_users)
{
    int reading[2], one = open_terminal(&reading[0]), other = open_terminal(&reading[1]);

    assert_int_equal(exit_status_in_session(one, one), 0);
    assert_int_equal(exit_status_in_session(one, other), 1);
    close(one), close(other);
    close(reading[0]), close(reading[1]);
}

TEST(no_descriptor_is_left_open)
{
    become_pipe();
    int next = dup(STDERR_FILENO);
    close(next);
    assert_true(output_open());
    assert_int_equal(fcntl(next, F_GETFD), -1);
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFD),
                     0); // a program that this one becomes has it too
}
