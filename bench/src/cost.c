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

static bool number_of(const char *name, pid_t *number)
{
    char *end;
    long value = strtol(name, &end, 10);

    *number = (pid_t)value;
    return value > 0 && !*end;
}

// Calls VISIT for each numbered entry of the directory at PATH.
static bool for_each(const char *path, void (*visit)(pid_t number, void *data), void *data)
{
    DIR *directory = opendir(path);
    pid_t number;

    if (!directory)
        return false;
    for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        if (number_of(entry->d_name, &number))
            visit(number, data);
    closedir(directory);
    return true;
}

struct processes {
    struct process {
        pid_t pid, parent;
        bool inside;
    } * all;
    size_t count, room;
};

static void note_process(pid_t pid, void *data)
{
    struct processes *list = data;
    char path[64], file[512];

    if (list->count == list->room) {
        size_t room = list->room * 2 + 64;
        struct process *all = realloc(list->all, room * sizeof *all);

        if (!all)
            return;
        list->all = all;
        list->room = room;
    }
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (!read_file(path, file, sizeof file))
        return;
    // "pid (name) state parent …", and the name may hold anything.
    const char *after = strrchr(file, ')');
    if (after && strlen(after) > 4)
        list->all[list->count++] = (struct process){pid, (pid_t)strtol(after + 4, NULL, 10), false};
}

// Marks the children of those that are marked. False if there are no new ones.
static bool mark_children(struct processes *list)
{
    bool more = false;

    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; !list->all[i].inside && j < list->count; j++)
            if (list->all[j].inside && list->all[j].pid == list->all[i].parent)
                more = list->all[i].inside = true;
    return more;
}

// Calls SUM for PID and, for a TREE, for its descendants. False with errno if PID is gone.
static bool for_processes(pid_t pid, bool tree, bool (*sum)(pid_t pid, void *data), void *data)
{
    struct processes list = {.count = 0};

    if (!tree)
        return sum(pid, data);
    for_each("/proc", note_process, &list);
    for (size_t i = 0; i < list.count; i++)
        list.all[i].inside = list.all[i].pid == pid;
    while (mark_children(&list))
        continue;
    bool found = sum(pid, data);
    int error = errno;
    for (size_t i = 0; found && i < list.count; i++)
        if (list.all[i].inside && list.all[i].pid != pid)
            sum(list.all[i].pid, data); // one that has ended meanwhile costs nothing more
    free(list.all);
    errno = error;
    return found;
}

// The process's CPU clock is the sum of what /proc/PID/task/*/schedstat shows thread by thread,
// read in one call, and with what threads took that have ended.
static bool sum_cpu(pid_t pid, void *data)
{
    uint64_t *sum = data;
    struct timespec time;
    clockid_t clock;

    errno = clock_getcpuclockid(pid, &clock);
    if (errno != 0 || clock_gettime(clock, &time) < 0)
        return false;
    *sum += (uint64_t)time.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)time.tv_nsec;
    return true;
}

struct switches {
    pid_t pid;
    struct cost *cost;
};

static void sum_thread_switches(pid_t thread, void *data)
{
    struct switches *switches = data;
    char path[64], file[4096];

    snprintf(path, sizeof path, "/proc/%d/task/%d/status", switches->pid, thread);
    if (!read_file(path, file, sizeof file))
        return;
    add_value(file, "voluntary_ctxt_switches:", &switches->cost->voluntary);
    add_value(file, "voluntary_ctxt_switches:", &switches->cost->switches);
    add_value(file, "nonvoluntary_ctxt_switches:", &switches->cost->switches);
}

static bool sum_cost(pid_t pid, void *data)
{
    struct cost *cost = data;
    struct switches switches = {pid, cost};
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    return sum_cpu(pid, &cost->cpu) && for_each(path, sum_thread_switches, &switches);
}

bool cost_read(pid_t pid, bool tree, struct cost *cost)
{
    *cost = (struct cost){.cpu = 0};
    return for_processes(pid, tree, sum_cost, cost);
}

bool cost_cpu(pid_t pid, bool tree, uint64_t *nanoseconds)
{
    *nanoseconds = 0;
    return for_processes(pid, tree, sum_cpu, nanoseconds);
}

// smaps_rollup walks the page tables: exact, where the counters in statm may be off by 32 pages
// for each CPU.
static bool sum_memory(pid_t pid, void *data)
{
    struct memory *memory = data;
    char path[64], file[4096];
    uint64_t rss = 0, pss = 0;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    if (!read_file(path, file, sizeof file) || !add_value(file, "Rss:", &rss) ||
        !add_value(file, "Pss:", &pss))
        return false;
    memory->rss += (int64_t)rss * 1024;
    memory->pss += (int64_t)pss * 1024;
    return true;
}

bool cost_memory(pid_t pid, bool tree, struct memory *memory)
{
    *memory = (struct memory){.rss = 0};
    return for_processes(pid, tree, sum_memory, memory);
}

bool cost_energy(uint64_t *microjoules)
{
    glob_t found;
    char file[64];
    bool any = false;

    *microjoules = 0;
    // Packages alone: their parts have a second number in their names.
    if (glob("/sys/class/powercap/*:[0-9]/energy_uj", 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (strchr(strchr(found.gl_pathv[i], ':') + 1, ':') ||
            !read_file(found.gl_pathv[i], file, sizeof file))
            continue;
        *microjoules += strtoull(file, NULL, 10);
        any = true;
    }
    globfree(&found);
    return any;
}
