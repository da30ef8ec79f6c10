// SPDX-License-Identifier: MIT
// send() without MSG_NOSIGNAL to a peer that is gone: the signal SIGPIPE ends the whole server.
#include "mistake.h"

#include <sys/wait.h>

static int serve(bool cured)
{
    int flags = cured ? MSG_NOSIGNAL : 0; // the cure (or: ignore SIGPIPE in the whole process)
    struct pair p = tcp_pair();
    close(p.client);
    send(p.server, "hello\n", 6, flags);                         // goes out; a reset comes back
    must(poll(&(struct pollfd){p.server, 0, 0}, 1, -1), "poll"); // POLLHUP needs no asking
    if (send(p.server, "still there?\n", 13, flags) < 0)
        printf("send: %s; the server goes on\n", strerror(errno));
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int status;
    pid_t server = must(fork(), "fork");
    if (server == 0)
        _exit(serve(cured));
    must(waitpid(server, &status, 0), "waitpid");
    if (WIFSIGNALED(status))
        printf("the server was ended by signal %d (%s)\n", WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    return WIFSIGNALED(status);
}
