// SPDX-License-Identifier: MIT
// Lesson 8: other threads wake the loop with an eventfd.
//
//  - An eventfd is a number in the kernel. write() adds to it, read() takes all of it and leaves 0,
//    and it is readable while it is not 0: any number of wake-ups that come together are one event.
//  - It says only that there is something. What there is lies in a queue of our own, and the order
//    matters: put in, then write(); read(), then take out. The other way round, what is put in
//    between both is forgotten until the next wake-up.
//  - A wake-up is needed only for what goes into an empty queue: the rest is taken along.
//  - Nobody but the loop touches descriptors and clients. Threads bring results, and no callbacks.
//
// Try: wakeup 4 10000 (threads, and results from each)
#include "common.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { THREADS_MAX = 64 };

struct result {
    struct result *next;
    long value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct result *queue; // the latest first
static int wakeups, each;

// From any thread.
static void deliver(struct result *result)
{
    pthread_mutex_lock(&lock);
    bool first = queue == NULL;
    result->next = queue;
    queue = result;
    pthread_mutex_unlock(&lock);
    uint64_t one = 1;
    if (first && write(wakeups, &one, sizeof(one)) < 0)
        must(-1, "write eventfd"); // it blocks nobody: the number would have to be enormous
}

// In the loop: everything that has been delivered.
static struct result *collect(void)
{
    uint64_t number;
    must((int)read(wakeups, &number, sizeof(number)), "read eventfd");
    pthread_mutex_lock(&lock);
    struct result *all = queue;
    queue = NULL;
    pthread_mutex_unlock(&lock);
    return all;
}

static void *work(void *data)
{
    for (int i = 1; i <= each; i++) {
        struct result *result = malloc(sizeof(*result));
        if (!result)
            abort();
        result->value = i;
        deliver(result);
    }
    return data;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? number_of(argv[1], THREADS_MAX) : 4;
    each = argc > 2 ? number_of(argv[2], 1000000) : 10000;
    wakeups = must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = wakeups};
    must(epoll_ctl(loop, EPOLL_CTL_ADD, wakeups, &event), "epoll_ctl");
    pthread_t ids[THREADS_MAX];
    for (int i = 0; i < threads; i++)
        if ((errno = pthread_create(&ids[i], NULL, work, NULL)) != 0)
            must(-1, "pthread_create");
    long results = 0, sum = 0, events = 0;
    while (results < (long)threads * each) {
        int count = epoll_wait(loop, &event, 1, -1);
        if (count < 0 && errno != EINTR)
            must(count, "epoll_wait");
        events += count > 0;
        for (struct result *at = count > 0 ? collect() : NULL, *next; at; at = next, results++) {
            next = at->next;
            sum += at->value;
            free(at);
        }
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("results: %ld, their sum: %ld, events: %s\n", results, sum,
           events <= results ? "no more than results" : "too many");
}
