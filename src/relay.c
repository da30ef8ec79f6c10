// SPDX-License-Identifier: MIT
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/util.h"
#include "transport/handover.h"

static void failed(const char *call)
{
    log_event(
        LOG_WARNING, "cannot hand over", LOG_TEXT("call", call), LOG_TEXT("error", strerror(errno)),
        LOG_TEXT("remedy", errno == EPERM ? "the sandbox does not allow that here: start with "
                                            "--no-sandbox, or stop and start anew"
                                          : NULL));
}

static void tell(const struct relay *relay)
{
    log_event(LOG_INFO, "handed over",
              LOG_NUMBER("connections", relay->ports->pool.service->counters.connected_tcp));
}

static void end_trial(struct relay *relay)
{
    loop_remove(relay->ports->pool.loop, &relay->trial);
    close(relay->trial.fd);
    relay->trial.fd = -1;
}

static void trial_ready(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, trial);
    char byte;
    ssize_t got = read(watch->fd, &byte, 1);

    (void)events;
    if (got < 0)
        return; // EAGAIN
    end_trial(relay);
    relay->due = got == 1;
    if (!relay->due)
        log_event(LOG_WARNING, "cannot hand over",
                  LOG_TEXT("error", "the program that would go on cannot: see the lines before"),
                  LOG_TEXT("path", relay->successor.path));
}

void relay_init(struct relay *relay, struct ports *ports, struct notify *notify, char *arguments[])
{
    *relay = (struct relay){.ports = ports,
                            .notify = notify,
                            .flight = {.memory = -1, .near = -1, .far = -1},
                            .trial = {.ready = trial_ready, .fd = -1}};
    successor_init(&relay->successor, arguments);
}

void relay_close(struct relay *relay)
{
    if (relay->trial.fd >= 0)
        end_trial(relay);
    flight_close(&relay->flight);
}

int relay_open(struct relay *relay)
{
    return !notify_has_store(relay->notify) || flight_open(&relay->flight) ? 0 : -1;
}

const char *relay_successor(const struct relay *relay)
{
    return notify_has_store(relay->notify) ? NULL : relay->successor.path;
}

// The end of a flight with all that there is; -1 with the reason in the log.
static int pack(const struct relay *relay, struct flight *flight)
{
    if (!flight_open(flight)) {
        failed("memfd_create or socketpair");
        return -1;
    }
    if (handover_give(relay->ports, flight, true))
        return flight->far;
    failed("sendmmsg");
    return -1;
}

static void try_successor(struct relay *relay)
{
    struct flight flight;
    int far = pack(relay, &flight);

    if (far >= 0) {
        relay->trial.fd = successor_try(&relay->successor, far);
        if (relay->trial.fd < 0)
            failed("pipe2 or fork");
        else if (loop_add(relay->ports->pool.loop, &relay->trial, EPOLLIN) < 0) {
            failed("epoll_ctl");
            close(relay->trial.fd);
            relay->trial.fd = -1;
        }
    }
    flight_close(&flight);
}

void relay_ask(struct relay *relay)
{
    bool ending = relay->ports->pool.service->phase != PHASE_READY;

    if (ending || relay->trial.fd >= 0)
        log_event(LOG_WARNING, "nothing is handed over",
                  LOG_TEXT("error", ending ? "the end is under way" : "that is under way already"));
    else if (notify_has_store(relay->notify))
        relay->due = true;
    else
        try_successor(relay);
}

// Leaves everything to the process that the manager starts next.
static enum relay_end leave(struct relay *relay)
{
    struct flight *flight = &relay->flight;
    int far = flight->far;

    flight->far = -1;
    if (far >= 0 && !handover_give(relay->ports, flight, false)) {
        failed("sendmmsg");
        close(far);
        return RELAY_FAILED;
    }
    if (far < 0 || !notify_store(relay->notify, far, flight->near)) {
        failed("FDSTORE=1");
        return RELAY_FAILED;
    }
    tell(relay);
    return RELAY_DONE;
}

static void become(struct relay *relay)
{
    struct flight flight;
    int far = pack(relay, &flight);

    if (far >= 0) {
        tell(relay);
        successor_become(&relay->successor, far);
        failed("execve");
    }
    flight_close(&flight);
}

enum relay_end relay_turn(struct relay *relay)
{
    bool due = relay->due && relay->ports->pool.service->phase == PHASE_READY;

    relay->due = false;
    if (!due)
        return RELAY_NOT;
    if (notify_has_store(relay->notify))
        return leave(relay);
    become(relay);
    return RELAY_NOT;
}
