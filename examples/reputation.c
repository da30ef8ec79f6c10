// SPDX-License-Identifier: MIT
// What is often said about epoll and sockets, asked of the kernel that this runs on. The answers
// of one kernel are in docs/sessions/reputation.txt.
#include "mistakes/mistake.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int loop;

// The events of the one descriptor that has any; it is watched no longer than for this answer.
static void say(const char *question, int fd)
{
    struct epoll_event event = {.events = 0};
    epoll_wait(loop, &event, 1, PATIENCE_MS);
    printf("%s:%s%s%s%s%s%s\n", question, event.events & EPOLLIN ? " EPOLLIN" : "",
           event.events & EPOLLOUT ? " EPOLLOUT" : "",
           event.events & EPOLLRDHUP ? " EPOLLRDHUP" : "",
           event.events & EPOLLHUP ? " EPOLLHUP" : "", event.events & EPOLLERR ? " EPOLLERR" : "",
           event.events ? "" : " nothing");
    if (fd >= 0)
        epoll_ctl(loop, EPOLL_CTL_DEL, fd, NULL);
}

static void reset(int fd)
{
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(fd);
}

static const char *outcome(long result)
{
    return result < 0 ? strerror(errno) : "it works";
}

static void edges(void)
{
    struct pair p = tcp_pair();
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLET);
    deliver(p.client, p.server, "a", 1);
    say("edge, first byte", -1);
    say("edge, asked again", -1);
    deliver(p.client, p.server, "bb", 2); // "ab" and "b" wait now
    say("edge, more input while the first byte is still unread", -1);
    watch(loop, EPOLL_CTL_MOD, p.server, EPOLLIN | EPOLLET);
    say("edge, after EPOLL_CTL_MOD with the same mask", p.server);
}

static void hangups(void)
{
    struct pair p = tcp_pair();
    int pair[2];
    const uint32_t all = EPOLLIN | EPOLLRDHUP;
    watch(loop, EPOLL_CTL_ADD, p.server, all);
    close(p.client);
    say("TCP, the peer called close()", -1);
    shutdown(p.server, SHUT_WR);
    say("TCP, and then our side shut down, too", p.server);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    watch(loop, EPOLL_CTL_ADD, pair[0], all);
    close(pair[1]);
    say("AF_UNIX, the peer called close()", pair[0]);

    p = tcp_pair();
    watch(loop, EPOLL_CTL_ADD, p.server, 0);
    reset(p.client);
    say("interest 0, and a reset comes", p.server);
    p = tcp_pair();
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLOUT | EPOLLONESHOT);
    say("EPOLLONESHOT, first event", -1);
    reset(p.client);
    say("EPOLLONESHOT, disarmed, and a reset comes", p.server);
    int fresh = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    watch(loop, EPOLL_CTL_ADD, fresh, 0);
    say("a TCP socket that was never connected, interest 0", fresh);
}

static void turns(void)
{
    int listener = listen_on(NULL);
    printf("three ready descriptors, one event for each wait:");
    struct pair p[3] = {connect_pair(listener), connect_pair(listener), connect_pair(listener)};
    for (int i = 0; i < 3; i++)
        watch(loop, EPOLL_CTL_ADD, p[i].server, EPOLLOUT);
    for (int i = 0; i < 6; i++) {
        struct epoll_event event;
        must(epoll_wait(loop, &event, 1, -1), "epoll_wait");
        for (int k = 0; k < 3; k++)
            if (event.data.fd == p[k].server)
                printf(" %c", "ABC"[k]);
    }
    printf("\n");
    for (int i = 0; i < 3; i++)
        epoll_ctl(loop, EPOLL_CTL_DEL, p[i].server, NULL);
}

static void accepting(void)
{
    int listener = listen_on(NULL);
    struct rlimit limit, none = {0, 0};
    reset(connect_to(listener));
    must(poll(&(struct pollfd){listener, POLLIN, 0}, 1, -1), "poll");
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    printf("accept of a client that has been reset: %s\n", outcome(fd));
    printf("recv from it: %s\n", outcome(recv(fd, &(char){0}, 1, 0)));
    printf("accept from an empty queue: %s\n", outcome(accept4(listener, NULL, NULL, 0)));
    getrlimit(RLIMIT_NOFILE, &limit);
    none.rlim_max = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    printf("the same without a free descriptor: %s\n", outcome(accept4(listener, NULL, NULL, 0)));
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void refusals(void)
{
    struct pair p = tcp_pair();
    struct epoll_event event = {.events = EPOLLIN};
    int file = must(open("/proc/self/exe", O_RDONLY), "open");
    printf("watch a regular file: %s\n", outcome(epoll_ctl(loop, EPOLL_CTL_ADD, file, &event)));
    watch(loop, EPOLL_CTL_ADD, p.server, EPOLLIN | EPOLLEXCLUSIVE);
    printf("EPOLL_CTL_MOD after EPOLLEXCLUSIVE: %s\n",
           outcome(epoll_ctl(loop, EPOLL_CTL_MOD, p.server, &event)));
    epoll_ctl(loop, EPOLL_CTL_DEL, p.server, NULL);
}

static void stopping(void)
{
    struct epoll_event event;
    int status;
    pid_t child = must(fork(), "fork");
    if (child == 0)
        _exit(epoll_wait(loop, &event, 1, 1000) < 0 && errno == EINTR);
    until_asleep(child);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    printf("epoll_wait of a process without handlers, after SIGSTOP and SIGCONT: %s\n",
           WEXITSTATUS(status) ? "Interrupted system call" : "it goes on waiting");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    edges();
    hangups();
    turns();
    accepting();
    refusals();
    stopping();
    return 0;
}
