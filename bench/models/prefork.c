// SPDX-License-Identifier: MIT
// A process per client, forked before the client comes: some spare ones always wait in accept(2),
// and a process that is done with its client waits for the next.
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "model.h"

enum { SPARE = 8 };

static void serve(int fd)
{
    static char bytes[MODEL_BUFFER_BYTES];
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        if (send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got)
            break;
    close(fd);
}

static _Noreturn void child(int listener, atomic_int *spare, int wanted, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) // it has died before
        _exit(EXIT_SUCCESS);
    for (;;) {
        int fd = accept(listener, NULL, NULL);

        if (fd < 0)
            continue;
        if (atomic_fetch_sub(spare, 1) <= SPARE)
            model_check(write(wanted, "", 1), "write");
        serve(fd);
        atomic_fetch_add(spare, 1);
    }
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM);
    atomic_int *spare =
        mmap(NULL, sizeof *spare, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t self = getpid();
    int wanted[2];
    char byte;

    model_check(pipe(wanted), "pipe");
    for (int count = 0; count < SPARE || read(wanted[0], &byte, 1) == 1; count++) {
        atomic_fetch_add(spare, 1);
        if (fork() == 0)
            child(listener, spare, wanted[1], self);
    }
}
