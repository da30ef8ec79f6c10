// SPDX-License-Identifier: MIT
#include "transport/pool.h"

#include <stdlib.h>

bool pool_init(struct pool *pool, struct loop *loop, const struct options *options,
               struct service *service)
{
    size_t input = READ_MAX_BYTES + options->max_line;

    *pool =
        (struct pool){.loop = loop, .options = options, .service = service, .max_busy = BUSY_MAX};
    pool->busy_port = (struct port){.watch.fd = -1, .role = &role_busy, .pool = pool};
    timeouts_init(&pool->idle, options->idle_timeout);
    timeouts_init(&pool->line, options->line_timeout);
    timeouts_init(&pool->goodbye, GOODBYE_SECONDS);
    pool->input = malloc(input);
    pool->output = malloc(input + TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES);
    return pool->input && pool->output;
}

void pool_finish(struct pool *pool)
{
    free(pool->input);
    free(pool->output);
}

struct facts pool_facts(struct pool *pool, enum protocol protocol, const struct address *peer,
                        const struct address *local)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time); // cannot fail for this clock
    return service_facts(pool->service, protocol, peer, local, loop_now(pool->loop), time);
}
