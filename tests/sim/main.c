// SPDX-License-Identifier: MIT
// sim: runs the daemon in simulated universes, one for each seed.
//
//     sim --seeds 1-4000 [--jobs N] [--failures N]
//     sim --seed 17 --trace
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "universe.h"

// Real time after which a universe is taken to hang between two calls. Most need a millisecond.
enum { HANG_SECONDS = 300, JOBS_MAX = 64 };

// One process of several, in memory that outlives it.
struct worker {
    pid_t pid;
    uint64_t seed; // now being run
    struct sights sights;
};

struct run {
    uint64_t first, last;
    unsigned jobs, failures_max;
    struct worker *worker;
};

static void work(const struct run *run, struct worker *worker)
{
    for (; worker->seed <= run->last; worker->seed += run->jobs) {
        alarm(HANG_SECONDS);
        universe_run(worker->seed, false, &worker->sights);
    }
    exit(EXIT_SUCCESS); // not _exit: gcov writes its counts now
}

static void start(const struct run *run, struct worker *worker)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        work(run, worker);
    if (pid < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    worker->pid = pid; // by the parent alone: the memory is shared
}

static struct worker *ended(const struct run *run, int *status)
{
    pid_t pid = wait(status);

    for (unsigned i = 0; i < run->jobs; i++)
        if (run->worker[i].pid == pid)
            return &run->worker[i];
    return NULL;
}

static void report_failure(const struct worker *worker, int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)worker->seed,
                WTERMSIG(status) == SIGALRM ? "a turn does not end" : strsignal(WTERMSIG(status)));
    fprintf(stderr, "FAILED seed %llu; replay: build/sim/sim --seed %llu --trace\n",
            (unsigned long long)worker->seed, (unsigned long long)worker->seed);
}

// Runs all; the number of seeds that failed.
static unsigned run_all(const struct run *run)
{
    unsigned failures = 0, running = run->jobs;

    for (unsigned i = 0; i < run->jobs; i++) {
        run->worker[i].seed = run->first + i;
        start(run, &run->worker[i]);
    }
    while (running > 0) {
        int status;
        struct worker *worker = ended(run, &status);

        running--;
        if (!worker || status == 0)
            continue;
        report_failure(worker, status);
        worker->seed += run->jobs;
        if (++failures < run->failures_max) {
            start(run, worker);
            running++;
        }
    }
    return failures;
}

static void report(const struct run *run, unsigned failures)
{
    struct sights sum = {0};

    for (unsigned i = 0; i < run->jobs; i++) {
        const struct sights *sights = &run->worker[i].sights;

        sum.universes += sights->universes;
        sum.turns += sights->turns;
        sum.faults += sights->faults;
        sum.connections += sights->connections;
        sum.datagrams += sights->datagrams;
        sum.seconds += sights->seconds;
    }
    printf("%llu universes: %llu turns, %llu connections, %llu datagrams, %llu faults injected, "
           "%llu simulated seconds; %u failed\n",
           (unsigned long long)sum.universes, (unsigned long long)sum.turns,
           (unsigned long long)sum.connections, (unsigned long long)sum.datagrams,
           (unsigned long long)sum.faults, (unsigned long long)sum.seconds, failures);
}

static int run_seeds(struct run *run)
{
    size_t size = run->jobs * sizeof *run->worker;

    run->worker = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->worker == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    unsigned failures = run_all(run);
    report(run, failures);
    return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_one(uint64_t seed, bool tracing)
{
    struct sights sights = {0};

    universe_run(seed, tracing, &sights);
    printf("seed %llu: nothing found\n", (unsigned long long)seed);
    return EXIT_SUCCESS;
}

static int usage(void)
{
    fprintf(stderr, "Usage: sim --seeds A-B [--jobs N] [--failures N] | --seed N [--trace]\n");
    return 2;
}

int main(int argc, char *argv[])
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'},    {"seed", required_argument, NULL, '1'},
        {"trace", no_argument, NULL, 't'},          {"jobs", required_argument, NULL, 'j'},
        {"failures", required_argument, NULL, 'f'}, {0},
    };
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct run run = {.jobs = processors > 0 ? (unsigned)processors : 1, .failures_max = 1};
    bool one = false, tracing = false;
    unsigned long long first = 0, last = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's' && sscanf(optarg, "%llu-%llu", &first, &last) != 2)
            return usage();
        if (option == '1') {
            one = true;
            first = strtoull(optarg, NULL, 10);
        }
        tracing |= option == 't';
        if (option == 'j')
            run.jobs = (unsigned)strtoul(optarg, NULL, 10);
        if (option == 'f')
            run.failures_max = (unsigned)strtoul(optarg, NULL, 10);
        if (option == '?')
            return usage();
    }
    if (one)
        return run_one(first, tracing);
    if (first == 0 || last < first || run.jobs == 0 || run.jobs > JOBS_MAX)
        return usage();
    run.first = first;
    run.last = last;
    return run_seeds(&run);
}
