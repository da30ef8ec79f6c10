// SPDX-License-Identifier: MIT
// twice: a mistake that the tests have to see, for LD_PRELOAD: now and then an answer by UDP goes
// out a second time.
#include <dlfcn.h>
#include <sys/socket.h>

enum { ONE_IN = 50 };

int sendmmsg(int fd, struct mmsghdr *vmessages, unsigned vlen, int flags)
{
    static unsigned calls;
    int (*real)(int, struct mmsghdr *, unsigned, int);

    *(void **)&real = dlsym(RTLD_NEXT, "sendmmsg"); // dlsym(3): how to get a function from it
    if (++calls % ONE_IN == 0)
        real(fd, vmessages, 1, flags);
    return real(fd, vmessages, vlen, flags);
}
