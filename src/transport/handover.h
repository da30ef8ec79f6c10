// SPDX-License-Identifier: MIT
// handover: all that clients are in the midst of, from one process to the next: what state.h has,
// and beside it their sockets.
#pragma once

#include <stdbool.h>

#include "core/state.h"
#include "system/flight.h"
#include "transport/ports.h"

// The descriptors of process.h, in flight behind those of the ports.
enum { HANDOVER_PROCESS_MAX = 2 };

// Sends all that PORTS have by FLIGHT, which stays as it is here. PASSED: those sockets too that
// another has opened, and would pass to the next process itself. False with errno.
bool handover_give(struct ports *ports, struct flight *flight, bool passed);

// What has come, as far as it is known before there are ports.
struct handover {
    struct arrival arrival;
    struct state_reader reader;
    struct state_header header;
    const char *problem; // why nothing can be made of it: then each connection ends by a goodbye
    struct inherited {
        struct state_port port;
        int fd; // -1: it has been taken, or did not come
    } * ports;  // header.ports of them
    int process[HANDOVER_PROCESS_MAX];
};

// Takes SOCKET, where a flight ends, or -1 for none.
void handover_open(struct handover *handover, int socket);

// Whether anything has come.
bool handover_comes(const struct handover *handover);

// A socket that has come, opened by a process itself for PROTOCOL at ADDRESS (if its port is 0, at
// any that was opened for DUTY), BOTH: for either family. It is the caller's then; -1: there is
// none.
int handover_claim(struct handover *handover, struct duty duty, enum protocol protocol,
                   const struct address *address, bool both);

// The next socket that has come and was passed to a process, with what is known of it; -1: there is
// none. It is the caller's then.
int handover_next_passed(struct handover *handover, struct state_port *port);

// Takes in all the rest: what is known of peers and datagrams, and the connections, which come to
// the port that is most like their own. The log tells how many there were. Nothing is read from a
// connection, nor written to one that can go on; those that cannot go on are said goodbye, unless
// this is a TRIAL: then they are another process's still.
void handover_take(struct handover *handover, struct ports *ports, bool trial);

// Closes whatever has not been taken.
void handover_close(struct handover *handover);
