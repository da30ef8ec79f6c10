// SPDX-License-Identifier: MIT
#include "cost.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ground/util.h"

// The start of the file at PATH as a string. False with errno if it cannot be read.
static bool read_file(const char *path, char *room, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got;

    room[0] = '\0';
    if (fd < 0)
        return false;
    while ((got = read(fd, room + length, size - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    room[length] = '\0';
    return got == 0;
}

// Adds the number after the line's beginning KEY in a file of "Key: number" lines. False if there
// is none.
static bool add_value(const char *file, const char *key, uint64_t *sum)
{
    for (const char *at = strstr(file, key); at; at = strstr(at + 1, key))
        if (at == file || at[-1] == '\n') {
            *sum += strtoull(at + strlen(key), NULL, 10);
            return true;
        }
    errno = ENODATA;
    return false;
}

// The process's CPU clock is the sum of what /proc/PID/task/*/schedstat shows thread by thread,
// read in one call, and with what threads took that have ended.
static bool read_cpu(pid_t pid, uint64_t *nanoseconds)
{
    clockid_t clock;

    errno = clock_getcpuclockid(pid, &clock);
    *nanoseconds = errno == 0 ? clock_read(clock) : 0;
    return errno == 0;
}

static void add_switches(pid_t pid, const char *thread, struct cost *cost)
{
    char path[64], file[4096];

    snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", pid, thread);
    if (!read_file(path, file, sizeof file))
        return; // it has ended
    add_value(file, "voluntary_ctxt_switches:", &cost->voluntary);
    add_value(file, "voluntary_ctxt_switches:", &cost->switches);
    add_value(file, "nonvoluntary_ctxt_switches:", &cost->switches);
}

bool cost_read(pid_t pid, struct cost *cost)
{
    char path[64];

    *cost = (struct cost){.cpu = 0};
    if (!read_cpu(pid, &cost->cpu))
        return false;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (!threads)
        return false;
    for (struct dirent *entry = readdir(threads); entry; entry = readdir(threads))
        if (entry->d_name[0] != '.')
            add_switches(pid, entry->d_name, cost);
    closedir(threads);
    return true;
}

// smaps_rollup walks the page tables: exact, where the counters in statm may be off by 32 pages
// for each CPU.
bool cost_memory(pid_t pid, struct memory *memory)
{
    char path[64], file[4096];
    uint64_t rss = 0, pss = 0;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    if (!read_file(path, file, sizeof file) || !add_value(file, "Rss:", &rss) ||
        !add_value(file, "Pss:", &pss))
        return false;
    *memory = (struct memory){(int64_t)rss * 1024, (int64_t)pss * 1024};
    return true;
}

bool cost_energy(uint64_t *microjoules)
{
    glob_t found;
    char file[64];
    bool any = false;

    *microjoules = 0;
    // Packages alone: their parts have a second number in their names.
    if (glob("/sys/class/powercap/*[a-z]:[0-9]/energy_uj", 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (!read_file(found.gl_pathv[i], file, sizeof file))
            continue;
        *microjoules += strtoull(file, NULL, 10);
        any = true;
    }
    globfree(&found);
    return any;
}

bool cost_machine(uint64_t *busy, uint64_t *stolen)
{
    unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
    uint64_t tick = NANOSECONDS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
    char file[256];

    read_file("/proc/stat", file, sizeof file); // only the beginning, which is of all cores
    if (sscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &iowait, &irq, &softirq, &steal) != 8)
        return false;
    *busy = (user + nice + system + irq + softirq) * tick;
    *stolen = steal * tick;
    return true;
}
