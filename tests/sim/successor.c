// SPDX-License-Identifier: MIT
#include "successor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "fault.h"
#include "files.h"
#include "flow.h"
#include "judge.h"
#include "memory.h"
#include "netsock.h"
#include "system/flight.h"
#include "system/notify.h"
#include "system/successor.h"
#include "world.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

enum { LEFT_MAX = FLOWS_MAX + 256 };

static struct {
    char *bytes;
    size_t length;
    struct left {
        enum file_kind kind;
        void *object;
    } left[LEFT_MAX];
    size_t count, at;
    bool stored;
} store;

static void set_in_flight(const struct left *left, bool in_flight)
{
    if (left->kind == FILE_FLOW)
        ((struct flow *)left->object)->in_flight = in_flight;
    else
        ((struct netsock *)left->object)->in_flight = in_flight;
}

static void forget(void)
{
    for (size_t i = 0; i < store.count; i++)
        set_in_flight(&store.left[i], false);
    store.bytes = memory_own(store.bytes, 0);
    store.length = store.count = store.at = 0;
    store.stored = false;
}

void successor_begin(void)
{
    store.count = 0; // who was in flight is no more
    forget();
}

bool successor_waits(void)
{
    return store.stored;
}

static void lose(struct flow *flow)
{
    if (!flow->excused && !flow->dead)
        fail("flow %u is lost on its way", flow->number);
    flow->excused = true;
    judge_closed(flow);
    flow_close(flow);
}

void successor_settled(void)
{
    struct left left[LEFT_MAX];
    size_t count = store.count;

    memcpy(left, store.left, count * sizeof *left);
    forget();
    for (size_t i = 0; i < count; i++) {
        if (left[i].kind == FILE_SOCKET && ((struct netsock *)left[i].object)->fd < 0)
            fail("a socket is lost on its way");
        if (left[i].kind == FILE_FLOW && ((struct flow *)left[i].object)->fd < 0)
            lose(left[i].object);
    }
}

// The daemon's calls of flight.h, notify.h and successor.h.

bool __wrap_notify_has_store(const struct notify *notify)
{
    (void)notify;
    return true;
}

bool __wrap_flight_open(struct flight *flight)
{
    enter();
    *flight = (struct flight){.memory = files_open(FILE_FLIGHT, NULL)};
    flight->near = files_open(FILE_FLIGHT, NULL);
    flight->far = files_open(FILE_FLIGHT, NULL);
    errno = EMFILE;
    return flight->memory >= 0 && flight->near >= 0 && flight->far >= 0;
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        files_close(*fd);
    *fd = -1;
}

void __wrap_flight_close(struct flight *flight)
{
    close_file(&flight->memory);
    close_file(&flight->near);
    close_file(&flight->far);
}

bool __wrap_flight_send_bytes(struct flight *flight, const char *bytes, size_t length)
{
    (void)flight;
    forget();
    store.bytes = memory_own(NULL, length);
    memcpy(store.bytes, bytes, length);
    store.length = length;
    return leave("flight_send_bytes", -1, -fault_error(CALL_FLIGHT, NULL)) == 0;
}

bool __wrap_flight_send(struct flight *flight, int fd)
{
    enum file_kind kind = files_kind(fd);
    int error = fault_error(CALL_FLIGHT, NULL);

    (void)flight;
    must(store.count < LEFT_MAX && (kind == FILE_FLOW || kind == FILE_SOCKET));
    if (!error) {
        store.left[store.count] = (struct left){kind, files_get(fd, kind)->object};
        set_in_flight(&store.left[store.count++], true);
    }
    return leave("flight_send", fd, -error) == 0;
}

bool __wrap_flight_flush(struct flight *flight)
{
    (void)flight;
    return leave("flight_flush", -1, -fault_error(CALL_FLIGHT, NULL)) == 0;
}

void successor_dropped(void)
{
    if (store.stored)
        return;
    forget();
    world.may_stop = true; // it ends instead
}

bool __wrap_notify_store(struct notify *notify, int far, int near)
{
    (void)notify, (void)near;
    int error = fault_error(CALL_STORE, NULL);

    enter();
    files_close(far);
    store.stored = !error;
    successor_dropped();
    return leave("notify_store", far, -error) == 0;
}

int __wrap_successor_given(int *trial)
{
    *trial = -1;
    return store.stored ? files_open(FILE_FLIGHT, NULL) : -1;
}

const char *__wrap_arrival_open(struct arrival *arrival, int socket)
{
    *arrival =
        (struct arrival){.socket = socket, .bytes = malloc(store.length), .length = store.length};
    files_get(socket, FILE_FLIGHT);
    store.at = 0;
    memcpy(arrival->bytes, store.bytes, store.length);
    return NULL;
}

int __wrap_arrival_next(struct arrival *arrival)
{
    (void)arrival;
    enter();
    if (store.at == store.count)
        return ARRIVAL_END;
    const struct left *left = &store.left[store.at++];
    bool lost = left->kind == FILE_FLOW && fault_error(CALL_ARRIVAL, left->object) != 0;
    int fd = lost ? -1 : files_open(left->kind, left->object);

    if (fd < 0) {
        if (left->kind == FILE_FLOW)
            ((struct flow *)left->object)->excused = true;
        return (int)leave("arrival_next", -1, ARRIVAL_LOST);
    }
    if (left->kind == FILE_FLOW) {
        ((struct flow *)left->object)->fd = fd;
        ((struct flow *)left->object)->counted = false;
    } else {
        ((struct netsock *)left->object)->fd = fd;
        ((struct netsock *)left->object)->failures = 0; // which another process has met
    }
    return (int)leave("arrival_next", fd, fd);
}

void __wrap_arrival_close(struct arrival *arrival)
{
    close_file(&arrival->socket);
    free(arrival->bytes);
    *arrival = (struct arrival){.socket = -1};
}
