// SPDX-License-Identifier: MIT
#include "turns.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "ground/util.h"

static void input_ready(struct watch *watch, uint32_t events)
{
    struct turns *turns = container_of(watch, struct turns, input);
    char bytes[64];
    ssize_t got = read(watch->fd, bytes, sizeof bytes);

    (void)events;
    for (ssize_t i = 0; i < got; i++)
        turns->begun += bytes[i] == '\n';
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
        turns->ended = true;
}

int turns_init(struct turns *turns, struct engine *engine)
{
    *turns = (struct turns){.engine = engine, .input = {.ready = input_ready, .fd = STDIN_FILENO}};
    return loop_add(&engine->loop, &turns->input, EPOLLIN);
}

void turns_finish(struct turns *turns)
{
    loop_remove(&turns->engine->loop, &turns->input);
}

bool turns_next(struct turns *turns, uint64_t messages)
{
    if (printf("ready %llu\n", (unsigned long long)messages) < 0 || fflush(stdout) != 0)
        return false;
    while (turns->begun == turns->done && !turns->ended && turns->engine->interrupts == 0)
        engine_turn(turns->engine);
    if (turns->begun == turns->done || turns->engine->interrupts > 0)
        return false;
    turns->done++;
    return true;
}
