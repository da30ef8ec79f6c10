// SPDX-License-Identifier: MIT
// flight: descriptors on their way to another process, and the bytes that tell about them.
//
// They wait in a pair of Unix sockets (unix(7), SCM_RIGHTS), with nobody having them: who has one
// end, however many there are, has one descriptor. The bytes are in a memfd, which comes first and
// is sealed (memfd_create(2), fcntl(2)): nobody can change them any more.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FLIGHT_BATCH_MAX = 253,       // SCM_MAX_FD of Linux: descriptors in one message
    FLIGHT_BYTES_MAX = INT32_MAX, // one read(2) or write(2) takes as much
};

struct flight {
    int memory;
    int near, far; // what is sent at one end is received at the other; -1: there is none
    int batch[FLIGHT_BATCH_MAX];
    size_t count; // in the batch
};

// All of the following that return a bool return false with errno. What was taken before is freed
// by flight_close, also after a failure.

// To be called before the sandbox, where that lets nothing be made anew.
bool flight_open(struct flight *flight);

// Sends BYTES, which end the memfd. To be called once.
bool flight_send_bytes(struct flight *flight, const char *bytes, size_t length);

// Sends a duplicate of FD, at the latest with flight_flush. ETOOMANYREFS: this user has more of
// them on their way than RLIMIT_NOFILE allows.
bool flight_send(struct flight *flight, int fd);
bool flight_flush(struct flight *flight);

// Closes both ends that this process has, and the memfd.
void flight_close(struct flight *flight);

// The other end.
struct arrival {
    int socket; // -1: nothing comes
    int look;   // how it is received from: MSG_PEEK, or 0
    int fds[FLIGHT_BATCH_MAX];
    int count, at; // of the batch
    char *bytes;   // owned
    size_t length;
};

enum { ARRIVAL_LOST = -1, ARRIVAL_END = -2 };

// Whether FD can be the far end of a flight: a Unix socket that keeps messages apart.
bool arrival_is(int fd);

// Takes SOCKET, and reads the bytes: NULL, or what is wrong with them. Without bytes, the
// descriptors can still be taken.
const char *arrival_open(struct arrival *arrival, int socket);

// The next descriptor, which is the caller's: close-on-exec. ARRIVAL_LOST: this process may have no
// more of them, and it is closed. ARRIVAL_END: there are no more.
int arrival_next(struct arrival *arrival);

// Closes whatever has not been taken.
void arrival_close(struct arrival *arrival);
