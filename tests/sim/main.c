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
    uint64_t sights[SIGHTS];
};

static struct {
    uint64_t last;
    unsigned jobs, failures_max;
    struct worker *worker;
} run;

static void work(struct worker *worker)
{
    for (; worker->seed <= run.last; worker->seed += run.jobs) {
        alarm(HANG_SECONDS);
        universe_run(worker->seed, false, worker->sights);
    }
    exit(EXIT_SUCCESS); // not _exit: gcov writes its counts now
}

static void start(struct worker *worker)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        work(worker);
    if (pid < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    worker->pid = pid; // by the parent alone: the memory is shared
}

static void report_failure(const struct worker *worker, int status)
{
    unsigned long long seed = worker->seed;

    if (WIFSIGNALED(status))
        fprintf(stderr, "seed %llu: %s\n", seed,
                WTERMSIG(status) == SIGALRM ? "a turn does not end" : strsignal(WTERMSIG(status)));
    fprintf(stderr, "FAILED seed %llu; replay: build/sim/sim --seed %llu --trace\n", seed, seed);
}

// Waits for all; the number of seeds that failed.
static unsigned run_all(void)
{
    unsigned failures = 0;
    int status;
    pid_t pid;

    while ((pid = wait(&status)) > 0) {
        struct worker *worker = run.worker;

        if (status == 0)
            continue;
        while (worker->pid != pid)
            worker++;
        report_failure(worker, status);
        worker->seed += run.jobs;
        if (++failures < run.failures_max)
            start(worker);
    }
    return failures;
}

static int run_seeds(uint64_t first)
{
    static const char *const name[SIGHTS] = {
        "universes:",       "turns,",       "connections,",      "datagrams,",
        "faults injected,", "successions,", "simulated seconds;"};

    run.worker = mmap(NULL, run.jobs * sizeof *run.worker, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run.worker == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    for (unsigned i = 0; i < run.jobs; i++) {
        run.worker[i].seed = first + i;
        start(&run.worker[i]);
    }
    unsigned failures = run_all();
    for (int sight = 0; sight < SIGHTS; sight++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < run.jobs; i++)
            sum += run.worker[i].sights[sight];
        printf("%llu %s ", (unsigned long long)sum, name[sight]);
    }
    printf("%u failed\n", failures);
    return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
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
    bool one = false, tracing = false;
    unsigned long long first = 0, last = 0;
    uint64_t sights[SIGHTS] = {0};
    int option;

    run.jobs = processors > 0 ? (unsigned)processors : 1;
    run.failures_max = 1;
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
    if (one) {
        universe_run(first, tracing, sights);
        printf("seed %llu: nothing found\n", first);
        return EXIT_SUCCESS;
    }
    if (first == 0 || last < first || run.jobs == 0 || run.jobs > JOBS_MAX)
        return usage();
    run.last = last;
    return run_seeds(first);
}
