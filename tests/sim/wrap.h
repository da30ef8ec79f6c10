// SPDX-License-Identifier: MIT
// wrap: the names that the linker gives to the daemon's calls. Those of malloc(3) are in memory.c.
#ifndef WRAP_H
#define WRAP_H

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <time.h>

typedef void wrap_handler(int number);

int __wrap_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_close(int fd);
int __wrap_dup2(int fd, int other);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_fstat(int fd, struct stat *status);
int __wrap_getpeername(int fd, struct sockaddr *name, socklen_t *length);
ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
int __wrap_getrlimit(int resource, struct rlimit *limit);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
unsigned __wrap_if_nametoindex(const char *name);
int __wrap_ioctl(int fd, unsigned long request, int *value);
int __wrap_isatty(int fd);
int __wrap_listen(int fd, int backlog);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_poll(struct pollfd *polled, nfds_t count, int timeout);
ssize_t __wrap_read(int fd, void *buffer, size_t length);
ssize_t __wrap_recv(int fd, void *buffer, size_t length, int flags);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
                    struct timespec *timeout);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_setrlimit(int resource, const struct rlimit *limit);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_shutdown(int fd, int how);
wrap_handler *__wrap_signal(int number, wrap_handler *handler);
int __wrap_signalfd(int fd, const sigset_t *set, int flags);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *before);
int __wrap_socket(int family, int type, int protocol);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);

#endif
