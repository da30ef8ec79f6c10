// SPDX-License-Identifier: MIT
// files: the daemon's descriptors, and epoll(7) over them.
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

enum file_kind {
    FILE_NONE,
    FILE_STANDARD,
    FILE_EPOLL,
    FILE_TIMER,
    FILE_SIGNALS,
    FILE_SOCKET, // a `struct netsock`
    FILE_FLOW,
    FILE_TOKEN,
    FILE_LOG, // standard error, opened once more
};

struct file {
    enum file_kind kind;
    void *object;
    // What epoll knows.
    bool registered, queued;
    uint32_t events;
    epoll_data_t data;
};

void files_begin(uint64_t soft, uint64_t hard);

// The lowest free number, or -1: no more descriptors.
int files_open(enum file_kind kind, void *object);
// The file of FD, which must be of KIND: fails the universe if it is not.
struct file *files_get(int fd, enum file_kind kind);
enum file_kind files_kind(int fd);
void files_close(int fd);
unsigned files_count(void);

// The limit, and descriptors that somebody else has used up for a while.
void files_limit(uint64_t *soft, uint64_t *hard);
bool files_set_limit(uint64_t soft);
void files_exhaust(bool exhausted);
bool files_exhausted(void);

// epoll_ctl: 0, or an errno.
int files_control(int operation, int fd, const struct epoll_event *event);
// Something happened at FD that waiters for EVENTS are told of; 0 is everybody.
void files_wake(int fd, uint32_t events);
// What is ready, at most MAX events, without waiting.
int files_ready(struct epoll_event *events, int max);
// An event for something that is registered, true or not. False if there is nothing.
bool files_spurious(struct epoll_event *event);

// The timer and the signals.
void timer_set(uint64_t at);
uint64_t timer_at(void); // or NEVER
bool timer_read(void);
void signal_raise(int number);
int signal_read(void); // 0: none

#endif
