// SPDX-License-Identifier: MIT
#include "files.h"

#include <errno.h>
#include <string.h>

#include "flow.h"
#include "netsock.h"
#include "world.h"

enum { FILES_MAX = 4096, SIGNALS_MAX = 65 };

static struct {
    struct file file[FILES_MAX];
    int end; // numbers in use are below
    // The ready list: descriptors in order, each at most once.
    int ready[FILES_MAX];
    int count;
    bool pending[SIGNALS_MAX];
} files;

struct kernel kernel;

void files_begin(uint64_t soft, uint64_t hard)
{
    memset(&files, 0, sizeof files);
    kernel = (struct kernel){.soft = soft, .hard = hard, .timer = NEVER};
    for (int fd = 0; fd < 3; fd++)
        files_open(FILE_STANDARD, NULL);
}

int files_open(enum file_kind kind, void *object)
{
    int fd = 0;

    while (fd < files.end && files.file[fd].kind != FILE_NONE)
        fd++;
    if (kernel.exhausted || (uint64_t)fd >= kernel.soft || fd == FILES_MAX)
        return -1;
    files.file[fd] = (struct file){.kind = kind, .object = object};
    if (fd == files.end)
        files.end++;
    return fd;
}

enum file_kind files_kind(int fd)
{
    return fd < 0 || fd >= files.end ? FILE_NONE : files.file[fd].kind;
}

struct file *files_get(int fd, enum file_kind kind)
{
    if (files_kind(fd) != kind)
        fail("a call on descriptor %d, which is of kind %d and not %d", fd, (int)files_kind(fd),
             (int)kind);
    return &files.file[fd];
}

static void dequeue(int fd)
{
    int kept = 0;

    for (int i = 0; i < files.count; i++)
        if (files.ready[i] != fd)
            files.ready[kept++] = files.ready[i];
    files.count = kept;
    files.file[fd].queued = false;
}

void files_close(int fd)
{
    dequeue(fd);
    files.file[fd] = (struct file){.kind = FILE_NONE};
}

unsigned files_count(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < files.end; fd++)
        count += files.file[fd].kind != FILE_NONE;
    return count;
}

// What poll(2) would say.
static uint32_t poll_file(const struct file *file)
{
    switch (file->kind) {
    case FILE_TIMER:
        return kernel.timer <= world.now ? EPOLLIN : 0;
    case FILE_SIGNALS:
        return memchr(files.pending, true, sizeof files.pending) ? EPOLLIN : 0;
    case FILE_SOCKET:
        return netsock_poll(file->object);
    case FILE_FLOW:
        return flow_poll(file->object);
    case FILE_NONE:
    case FILE_STANDARD:
    case FILE_EPOLL:
    case FILE_TOKEN:
    case FILE_FLIGHT:
    case FILE_LOG:
        break;
    }
    fail("epoll watches what it cannot: kind %d", (int)file->kind);
}

static uint32_t mask(const struct file *file)
{
    return file->events | EPOLLERR | EPOLLHUP;
}

static void enqueue(int fd)
{
    if (files.file[fd].queued)
        return;
    files.file[fd].queued = true;
    files.ready[files.count++] = fd;
}

void files_wake(int fd, uint32_t events)
{
    struct file *file;

    if (fd < 0)
        return;
    file = &files.file[fd];
    if (file->registered && (events == 0 || (events & mask(file))))
        enqueue(fd);
}

static void wake_kind(enum file_kind kind)
{
    for (int fd = 0; fd < files.end; fd++)
        if (files.file[fd].kind == kind)
            files_wake(fd, EPOLLIN);
}

int files_control(int operation, int fd, const struct epoll_event *event)
{
    if (files_kind(fd) == FILE_NONE)
        return EBADF;
    struct file *file = &files.file[fd];
    if (operation == EPOLL_CTL_ADD ? file->registered : !file->registered)
        return operation == EPOLL_CTL_ADD ? EEXIST : ENOENT;
    if (operation == EPOLL_CTL_DEL) {
        dequeue(fd);
        file->registered = false;
        return 0;
    }
    file->registered = true;
    file->events = event->events;
    file->data = event->data;
    // Both look at once whether there is something to report.
    if (poll_file(file) & mask(file))
        enqueue(fd);
    return 0;
}

int files_ready(struct epoll_event *events, int max)
{
    int found = 0;

    if (kernel.timer <= world.now)
        wake_kind(FILE_TIMER);
    for (int left = files.count; left > 0 && found < max; left--) {
        int fd = files.ready[0];
        struct file *file = &files.file[fd];
        uint32_t ready = poll_file(file) & mask(file);

        dequeue(fd);
        if (!ready)
            continue;
        events[found++] = (struct epoll_event){.events = ready, .data = file->data};
        trace("  ready: %d %s%s%s%s%s", fd, ready & EPOLLIN ? "IN " : "",
              ready & EPOLLOUT ? "OUT " : "", ready & EPOLLRDHUP ? "RDHUP " : "",
              ready & EPOLLHUP ? "HUP " : "", ready & EPOLLERR ? "ERR" : "");
        if (!(file->events & EPOLLET))
            enqueue(fd);
    }
    return found;
}

bool files_spurious(struct epoll_event *event)
{
    int fd = (int)between(0, (uint64_t)files.end - 1);
    const struct file *file = &files.file[fd];
    uint32_t events = file->events & (EPOLLIN | EPOLLOUT);

    if (file->kind == FILE_NONE || !file->registered || !events)
        return false;
    trace("  ready: %d, spurious", fd);
    if (file->kind == FILE_FLOW)
        ((struct flow *)file->object)->unsent_unknown = true;
    *event = (struct epoll_event){.events = events, .data = file->data};
    return true;
}

bool timer_read(void)
{
    if (kernel.timer > world.now)
        return false;
    kernel.timer = NEVER;
    return true;
}

void signal_raise(int number)
{
    files.pending[number] = true;
    trace("signal %d", number);
    wake_kind(FILE_SIGNALS);
}

int signal_read(void)
{
    for (int number = 1; number < SIGNALS_MAX; number++) {
        if (!files.pending[number])
            continue;
        files.pending[number] = false;
        return number;
    }
    return 0;
}
