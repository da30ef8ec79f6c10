// SPDX-License-Identifier: MIT
#include "warning.h"

#include <string.h>

#include "figure.h"

// Per cent of a core that leaves no room for more, and how long it takes to see it.
enum { FULL_PERCENT = 95, FULL_NANOSECONDS = 200000000 };

// Per cent of all cores that leaves room for no more than server and load.
enum { OTHERS_PERCENT = 10 };

static const char *const advice[FAULTS] = {
    [FAULT_CONNECT] = "does it listen there, and do ulimit -n and the local ports suffice?",
    [FAULT_CLOSED] = "its log may say why",
    [FAULT_REFUSED] = "see its --max-tcp, --max-line and --max-datagram, or ask for less here",
    [FAULT_CORRUPT] = "is it an echo? For other servers there are --request and --reply-bytes",
    [FAULT_REORDERED] = "over UDP the network may do that; over TCP the server mixes up clients",
    [FAULT_LOST] = "over UDP send less at once (--depth, --rate); or --timeout is too short",
    [FAULT_UNEXPECTED] = "answers come twice, or after --timeout",
};

static bool warn_of_fault(enum fault fault, const struct results *results, struct text *text)
{
    if (results->faults[fault] == 0)
        return false;
    text_format(text, "%s %llu: %s", fault_name(fault), (unsigned long long)results->faults[fault],
                advice[fault]);
    return true;
}

static bool fell_behind(const struct results *results, struct text *text)
{
    if (results->unsent == 0)
        return false;
    text_format(text,
                "behind: of %llu planned messages %.2f %% were sent: a lower --rate, more "
                "--connections, or a larger --depth",
                (unsigned long long)results->planned, 100 * results_sent(results));
    return true;
}

// Where the half of a latency is the time until we came to send, it is no longer the server's.
static bool was_late(const struct results *results, struct text *text)
{
    uint64_t late = histogram_percentile(&results->lateness, 0.99);

    if (late == 0 || late < histogram_percentile(&results->latency, 0.99) / 2)
        return false;
    text_format(text,
                "late: echo-bench itself sent later than planned, by %.1f us in the 99th "
                "percentile: give it a core of its own (taskset), or a lower --rate",
                (double)late / 1e3);
    return true;
}

static bool was_full(const struct results *results, struct text *text)
{
    const struct server_results *server = &results->server;

    // Whichever of both is full first is the limit.
    if (results->wall < FULL_NANOSECONDS ||
        figure_named("own_core", results).value < FULL_PERCENT ||
        (server->cost && server->cpu >= results->own_cpu))
        return false;
    text_string(text, "full core: echo-bench had no time left, so its own speed may be the limit: "
                      "start several, each on a core of its own");
    return true;
}

// Only where the server is known, which would be taken for one of the others.
static bool was_disturbed(const struct results *results, struct text *text)
{
    double others = 100 * results_others(results);

    if (!results->server.cost || results->wall < FULL_NANOSECONDS || others < OTHERS_PERCENT)
        return false;
    text_format(text, "disturbed: other programs took %.0f %% of the machine: run it again without",
                others);
    return true;
}

static bool had_no_trains(const struct results *results, struct text *text)
{
    if (results->train_error == 0)
        return false;
    text_format(text,
                "one by one: datagrams did not go in trains (%s): a --size that fits into the "
                "path's packets, or no --gso",
                strerror(results->train_error));
    return true;
}

bool warning_write(unsigned number, const struct results *results, struct text *text)
{
    static bool (*const others[WARNINGS - FAULTS])(const struct results *, struct text *) = {
        fell_behind, was_late, was_full, was_disturbed, had_no_trains};

    return number < FAULTS ? warn_of_fault((enum fault)number, results, text)
                           : others[number - FAULTS](results, text);
}
