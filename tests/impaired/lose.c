// SPDX-License-Identifier: MIT
// lose: a mistake that the tests have to see, for LD_PRELOAD: after a short send(2), one byte more
// than was sent is taken for sent.
#include <dlfcn.h>
#include <sys/socket.h>

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
    ssize_t (*real)(int, const void *, size_t, int);

    *(void **)&real = dlsym(RTLD_NEXT, "send"); // dlsym(3): how to get a function from it
    ssize_t sent = real(fd, buf, n, flags);
    return sent > 0 && (size_t)sent < n ? sent + 1 : sent;
}
