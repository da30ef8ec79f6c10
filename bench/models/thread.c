// SPDX-License-Identifier: MIT
// A thread per client: blocking calls.
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "model.h"

enum { STACK_BYTES = 2 * MODEL_BUFFER_BYTES };

static void *serve(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char bytes[MODEL_BUFFER_BYTES];
    ssize_t got;

    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        if (send(fd, bytes, (size_t)got, MSG_NOSIGNAL) != got)
            break;
    close(fd);
    return NULL;
}

static void *fd_as_argument(int fd)
{
    return (void *)(intptr_t)fd; // NOLINT(performance-no-int-to-ptr): it is never one
}

int main(int argc, char *argv[])
{
    int listener = model_socket(argc, argv, SOCK_STREAM);
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);

        if (fd >= 0 && pthread_create(&thread, &attributes, serve, fd_as_argument(fd)) != 0)
            close(fd);
    }
}
