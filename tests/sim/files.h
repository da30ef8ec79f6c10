// SPDX-License-Identifier: MIT
// files: the daemon's descriptors, and epoll(7) over them.
#pragma once

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
    FILE_FLIGHT, // what flight.h has, and nobody watches
    FILE_LOG,    // standard error, opened once more
};

struct file {
    enum file_kind kind;
    void *object;
    // What epoll knows.
    bool registered, queued;
    uint32_t events;
    epoll_data_t data;
};

enum token_file { TOKEN_NONE, TOKEN_GOOD, TOKEN_ABSENT, TOKEN_EMPTY, TOKEN_READABLE };

// What others in the universe do to the daemon's process, and what it has set itself.
extern struct kernel {
    uint64_t soft, hard; // RLIMIT_NOFILE
    bool exhausted;      // somebody else has used up the descriptors for a while
    bool log_stalled;    // standard error's reader does not keep up
    enum token_file token;
    uint64_t timer; // when it goes off, or NEVER
} kernel;

void files_begin(uint64_t soft, uint64_t hard);

// The lowest free number, or -1: no more descriptors.
int files_open(enum file_kind kind, void *object);
// The file of FD, which must be of KIND: fails the universe if it is not.
struct file *files_get(int fd, enum file_kind kind);
enum file_kind files_kind(int fd);
void files_close(int fd);
unsigned files_count(void);

// epoll_ctl: 0, or an errno.
int files_control(int operation, int fd, const struct epoll_event *event);
// Something happened at FD that waiters for EVENTS are told of; 0 is everybody.
void files_wake(int fd, uint32_t events);
// What is ready, at most MAX events, without waiting.
int files_ready(struct epoll_event *events, int max);
// An event for something that is registered, true or not. False if there is nothing.
bool files_spurious(struct epoll_event *event);

bool timer_read(void);
void signal_raise(int number);
int signal_read(void); // 0: none
