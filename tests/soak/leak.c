// SPDX-License-Identifier: MIT
// leak: a mistake that the tests have to see, for LD_PRELOAD: now and then a descriptor is opened
// that nobody closes.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

enum { ONE_IN = 100 };

int close(int fd)
{
    static unsigned calls;
    int (*real)(int);

    *(void **)&real = dlsym(RTLD_NEXT, "close"); // dlsym(3): how to get a function from it
    if (++calls % ONE_IN == 0)
        open("/dev/null", O_RDONLY | O_CLOEXEC);
    return real(fd);
}
