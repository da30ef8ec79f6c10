// SPDX-License-Identifier: MIT
// fail: malloc(3) and its kin, of which one call fails: the one whose number is in FAIL_ALLOCATION
// (1 is the first), or that one and all after it with a '+' behind. How many there were in all goes
// to the file named by FAIL_COUNT. For a test build:
// -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long count; // of allocations so far

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *block, size_t size);

static bool fails(void)
{
    const char *wanted = getenv("FAIL_ALLOCATION");
    char *end = NULL;
    unsigned long number = wanted ? strtoul(wanted, &end, 10) : 0;

    count++;
    if (number == 0 || count < number || (count > number && *end != '+'))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

static int fd = -1;

// Before the daemon can open nothing more.
__attribute__((constructor)) static void open_count(void)
{
    const char *path = getenv("FAIL_COUNT");

    if (path)
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

__attribute__((destructor)) static void tell_count(void)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lu\n", count);

    if (fd >= 0 && write(fd, text, (size_t)length) == length)
        close(fd);
}
