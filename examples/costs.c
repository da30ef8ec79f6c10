// SPDX-License-Identifier: MIT
// What the calls cost, in microseconds, while a few or many descriptors are watched and one of
// them is ready: epoll_wait() pays for what is ready, poll() and select() for what is watched.
#include "mistakes/mistake.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>

enum { MOST = 10000, ROUNDS = 200 };

static int loop, ready;
static nfds_t watched;
static struct pollfd table[MOST];
static fd_set selected;

static void ask_epoll(void)
{
    struct epoll_event event;
    must(epoll_wait(loop, &event, 1, 0) == 1 ? 0 : -1, "epoll_wait");
}

static void ask_poll(void)
{
    must(poll(table, watched, 0) == 1 ? 0 : -1, "poll");
}

static void ask_select(void)
{
    fd_set set = selected;
    must(select(FD_SETSIZE, &set, NULL, NULL, &(struct timeval){0, 0}) == 1 ? 0 : -1, "select");
}

static void add_and_remove(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(loop, EPOLL_CTL_DEL, ready, NULL), "EPOLL_CTL_DEL");
    must(epoll_ctl(loop, EPOLL_CTL_ADD, ready, &event), "EPOLL_CTL_ADD");
}

static void modify(void)
{
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(loop, EPOLL_CTL_MOD, ready, &event), "EPOLL_CTL_MOD");
}

static double microseconds(void (*call)(void))
{
    struct timespec t[2];
    clock_gettime(CLOCK_MONOTONIC, &t[0]);
    for (int i = 0; i < ROUNDS; i++)
        call();
    clock_gettime(CLOCK_MONOTONIC, &t[1]);
    return ((double)(t[1].tv_sec - t[0].tv_sec) * 1e6 +
            (double)(t[1].tv_nsec - t[0].tv_nsec) / 1e3) /
           ROUNDS;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*call)(void);
    } rows[] = {{"epoll_wait", ask_epoll},
                {"epoll_ctl, MOD", modify},
                {"epoll_ctl, DEL and ADD", add_and_remove},
                {"poll", ask_poll},
                {"select", ask_select}};
    static const nfds_t columns[] = {10, 900, MOST};
    double costs[5][3];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    ready = must(eventfd(1, EFD_NONBLOCK), "eventfd");

    for (int column = 0; column < 3; column++) {
        while (watched < columns[column]) {
            int fd = watched == 0 ? ready : must(eventfd(0, EFD_NONBLOCK), "eventfd");
            watch(loop, EPOLL_CTL_ADD, fd, EPOLLIN);
            table[watched++] = (struct pollfd){fd, POLLIN, 0};
            if (fd < FD_SETSIZE)
                FD_SET(fd, &selected);
        }
        for (int row = 0; row < 5; row++)
            costs[row][column] = microseconds(rows[row].call);
    }
    printf("%-22s %10s %10s %10s\n", "microseconds", "10 watched", "900", "10000");
    for (int row = 0; row < 5; row++) {
        printf("%-22s %10.2f %10.2f ", rows[row].name, costs[row][0], costs[row][1]);
        if (rows[row].call == ask_select)
            printf("%10s\n", "impossible"); // a set ends at FD_SETSIZE, 1024
        else
            printf("%10.2f\n", costs[row][2]);
    }
    return 0;
}
