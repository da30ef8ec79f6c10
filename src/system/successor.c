// SPDX-License-Identifier: MIT
#include "system/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/number.h"
#include "system/flight.h"

// FLIGHT, or FLIGHT:TRIAL, two descriptors.
#define VARIABLE "EPOLL_ECHO_HANDOVER"

void successor_init(struct successor *successor, char *argv[])
{
    ssize_t length;

    *successor = (struct successor){.arguments = argv};
    // As it was named: a link may name another file by then. Without a slash, the shell has looked
    // for it, and the kernel knows what was found.
    size_t named = argv[0] && strchr(argv[0], '/') ? strlen(argv[0]) : 0;
    if (named > 0 && named < sizeof successor->path) {
        memcpy(successor->path, argv[0], named + 1);
        return;
    }
    length = readlink("/proc/self/exe", successor->path, sizeof successor->path - 1);
    successor->path[length > 0 ? length : 0] = '\0';
}

// The descriptor that the LENGTH characters of TEXT name, which is closed by execve(2) from now on;
// -1 if there is no such.
static int take_descriptor(const char *text, size_t length)
{
    uint64_t number = 0;

    return number_parse(text, length, INT_MAX, &number) && number > STDERR_FILENO &&
                   fcntl((int)number, F_SETFD, FD_CLOEXEC) == 0
               ? (int)number
               : -1;
}

int successor_given(int *trial)
{
    const char *text = getenv(VARIABLE);
    size_t length = text ? strcspn(text, ":") : 0;
    int flight = text ? take_descriptor(text, length) : -1;

    *trial = -1;
    if (flight >= 0 && !arrival_is(flight))
        flight = -1;
    if (flight >= 0 && text[length] == ':')
        *trial = take_descriptor(text + length + 1, strlen(text + length + 1));
    unsetenv(VARIABLE);
    return flight;
}

// Comes back only if that fails, with errno; then all is as before.
static void execute(const struct successor *successor, int flight, int trial)
{
    char value[32];

    snprintf(value, sizeof value, trial < 0 ? "%d" : "%d:%d", flight, trial);
    if (*successor->path == '\0')
        errno = ENOENT;
    else if (setenv(VARIABLE, value, 1) == 0 && fcntl(flight, F_SETFD, 0) == 0 &&
             (trial < 0 || fcntl(trial, F_SETFD, 0) == 0))
        execv(successor->path, successor->arguments);
    int error = errno;
    unsetenv(VARIABLE);
    fcntl(flight, F_SETFD, FD_CLOEXEC);
    errno = error;
}

// Whoever has started this process may have had it ignore the signal.
static void limit_time(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    alarm(SUCCESSOR_TRIAL_SECONDS);
}

int successor_try(const struct successor *successor, int flight)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        limit_time();
        execute(successor, flight, ends[1]);
        _exit(EXIT_FAILURE);
    }
    int error = errno;
    close(ends[1]);
    if (child < 0)
        close(ends[0]);
    errno = error;
    return child < 0 ? -1 : ends[0];
}

void successor_can(int trial)
{
    // Nobody can be told that this fails, but by the end that comes without a byte.
    ssize_t written = write(trial, "", 1);

    (void)written;
}

void successor_become(const struct successor *successor, int flight)
{
    execute(successor, flight, -1);
}
