// SPDX-License-Identifier: MIT
// train: datagrams of one size that go through the kernel as one message: UDP_SEGMENT and UDP_GRO
// of udp(7).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    TRAIN_MAX = 64,          // datagrams
    TRAIN_MAX_BYTES = 65507, // of them together
    // What one message may bring, by IPv6 too, and a cache line more: the beginnings of buffers
    // that lie side by side do not meet in one set of the cache.
    TRAIN_ROOM_BYTES = 65536 + 64,
};

// Room for the control message that tells what a train consists of.
union train_control {
    struct cmsghdr header; // aligns it
    char bytes[CMSG_SPACE(sizeof(int))];
};

// How many datagrams of SIZE bytes are a train, if there are enough of them.
unsigned train_most(size_t size);

// What comes to FD may come as trains from now on. 0, or -1 with errno: ENOPROTOOPT where the
// kernel has none.
int train_accept(int fd);

// Sends COUNT datagrams, train_most at most, of SIZE bytes each, which lie side by side: all of
// them or, with errno and -1, none.
int train_send(int fd, const char *bytes, size_t size, unsigned count);

// Whether ERROR of train_send says that the datagrams may go one by one: longer than the path takes
// in one packet, or no way to divide them.
bool train_refused(int error);

// The bytes of each datagram, but for the last one, of a MESSAGE of LENGTH bytes that has come.
size_t train_step(const struct msghdr *message, size_t length);
