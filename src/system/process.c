// SPDX-License-Identifier: MIT
#include "system/process.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int take_or_open(int *given, const char *path, int flags)
{
    int fd = *given >= 0 ? *given : open(path, flags | O_RDONLY | O_CLOEXEC);

    *given = -1;
    return fd;
}

void process_open(struct process *process, uint64_t max_descriptors, int given[2])
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now); // cannot fail for this clock
    *process = (struct process){
        .statm = take_or_open(&given[0], "/proc/self/statm", 0),
        .descriptors = take_or_open(&given[1], "/proc/self/fd", O_DIRECTORY),
        .max_descriptors = max_descriptors,
        .start_milliseconds = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
    };
}

void process_close(struct process *process)
{
    if (process->statm >= 0)
        close(process->statm);
    if (process->descriptors >= 0)
        close(process->descriptors);
}

// The second number of statm, in pages.
static uint64_t resident(int statm)
{
    char text[128];
    ssize_t length = statm < 0 ? -1 : pread(statm, text, sizeof text - 1, 0);

    if (length < 0)
        return 0;
    text[length] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

// From Linux 6.2 on the size of the directory is the number of descriptors; before, it is 0.
static uint64_t open_descriptors(int directory)
{
    struct stat status;

    return directory < 0 || fstatat(directory, "", &status, AT_EMPTY_PATH) < 0
               ? 0
               : (uint64_t)status.st_size;
}

struct usage process_usage(const struct process *process)
{
    struct timespec cpu = {0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (struct usage){
        .cpu_nanoseconds = (uint64_t)cpu.tv_sec * 1000000000 + (uint64_t)cpu.tv_nsec,
        .start_milliseconds = process->start_milliseconds,
        .resident_bytes = resident(process->statm),
        .descriptors = open_descriptors(process->descriptors),
        .max_descriptors = process->max_descriptors,
    };
}
