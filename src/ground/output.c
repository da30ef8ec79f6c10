// SPDX-License-Identifier: MIT
#include "ground/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool is_socket;
    bool waits;                       // a write may, unless `room` tells that there is some
    int room;                         // an epoll instance
    char rest[OUTPUT_LINE_MAX_BYTES]; // of a line that was written in part
    size_t left;                      // bytes of it
} output;

static int open_anew(const char *path)
{
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

// The controlling terminal may be opened whoever it belongs to, and without /proc: -1 with errno if
// that is another one than standard error.
static int open_terminal(void)
{
    int fd = open_anew("/dev/tty");

    if (fd < 0 || tcgetsid(STDERR_FILENO) >= 0) // which fails for any other
        return fd;
    close(fd);
    errno = EACCES;
    return -1;
}

// Where it may not be opened once more, an epoll instance tells whether it takes a line; what such
// an instance refuses (EPERM: epoll_ctl(2)) never waits. False if there is none.
static bool watch(void)
{
    struct epoll_event event = {.events = EPOLLOUT};

    output.room = epoll_create1(EPOLL_CLOEXEC);
    if (output.room < 0)
        return false;
    output.waits = epoll_ctl(output.room, EPOLL_CTL_ADD, STDERR_FILENO, &event) == 0;
    if (output.waits)
        return true;
    int error = errno;
    close(output.room);
    return error == EPERM;
}

bool output_open(void)
{
    struct stat status;

    if (fstat(STDERR_FILENO, &status) < 0)
        return watch(); // whatever it is
    output.is_socket = S_ISSOCK(status.st_mode);
    // A file waits for nobody; opened once more, it would be written at another place than where
    // those write who share it.
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
        return true;
    bool terminal = isatty(STDERR_FILENO);
    int fd = open_anew("/proc/self/fd/2");
    if (fd < 0 && terminal)
        fd = open_terminal();
    int error = errno;
    bool opened = fd >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    if (fd >= 0)
        close(fd);
    opened = opened || (watch() && !terminal);
    errno = error;
    return opened;
}

static bool has_room(void)
{
    struct epoll_event event;

    return !output.waits || epoll_wait(output.room, &event, 1, 0) == 1;
}

static ssize_t put(const char *bytes, size_t length)
{
    if (output.is_socket)
        return send(STDERR_FILENO, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return has_room() ? write(STDERR_FILENO, bytes, length) : -1;
}

static bool put_rest(void)
{
    ssize_t written = output.left > 0 ? put(output.rest, output.left) : 0;

    if (written > 0) {
        output.left -= (size_t)written;
        memmove(output.rest, output.rest + written, output.left);
    }
    return output.left == 0;
}

void output_close(void)
{
    put_rest(); // a last time
    output.left = 0;
    output.is_socket = false;
    if (output.waits)
        close(output.room);
    output.waits = false;
}

bool output_line(const char *line, size_t length)
{
    ssize_t written = put_rest() ? put(line, length) : -1;

    if (written <= 0)
        return false;
    output.left = length - (size_t)written;
    memcpy(output.rest, line + written, output.left);
    return true;
}
