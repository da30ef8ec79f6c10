// SPDX-License-Identifier: MIT
#include "transport/pool.h"

#include <malloc.h>
#include <stdlib.h>

#include "ground/log.h"

size_t pool_input_bytes(const struct pool *pool)
{
    size_t most = pool->options->max_line;

    return READ_MAX_BYTES + (most > KEPT_MAX_BYTES ? most : KEPT_MAX_BYTES);
}

bool pool_init(struct pool *pool, struct loop *loop, const struct options *options,
               struct service *service)
{
    *pool =
        (struct pool){.loop = loop, .options = options, .service = service, .max_busy = BUSY_MAX};
    pool->busy_port = (struct port){.watch.fd = -1, .role = &role_busy, .pool = pool};
    timeouts_init(&pool->opening, OPENING_SECONDS);
    timeouts_init(&pool->observing, OBSERVING_SECONDS);
    timeouts_init(&pool->idle, options->idle_timeout);
    timeouts_init(&pool->line, options->line_timeout);
    timeouts_init(&pool->owing, options->idle_timeout > 0 && options->idle_timeout < OWING_SECONDS
                                    ? options->idle_timeout
                                    : OWING_SECONDS);
    list_init(&pool->undrained);
    timeouts_init(&pool->goodbye, GOODBYE_SECONDS);
    size_t input = pool_input_bytes(pool);
    pool->input = malloc(input);
    pool->output = malloc(input + TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES);
    return pool->input && pool->output;
}

void pool_finish(struct pool *pool)
{
    free(pool->input);
    free(pool->output);
    delays_finish(&pool->delays);
}

ticks pool_trim_due(const struct pool *pool)
{
    return pool->given_back < GIVE_BACK_BYTES
               ? TICKS_NEVER
               : pool->trimmed + GIVE_BACK_SECONDS * TICKS_PER_SECOND;
}

void pool_trim(struct pool *pool, ticks now)
{
    pool->given_back = 0;
    pool->trimmed = now;
#ifdef __GLIBC__ // others do so without being asked
    malloc_trim(0);
#endif
}

struct facts pool_facts(struct pool *pool, enum protocol protocol, struct address peer,
                        struct address local)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time); // cannot fail for this clock
    struct facts facts =
        service_facts(pool->service, protocol, &peer, &local, loop_now(pool->loop), time);
    facts.max_tcp = pool->options->max_tcp;
    facts.counters.wakeups = pool->loop->turns;
    facts.counters.log_suppressed += log_suppressed(); // to those of a process before
    return facts;
}

struct timeouts *pool_deadline(struct pool *pool, const struct role *role, enum life life)
{
    if (role->observer)
        return &pool->observing;
    // One that is not admitted has a goodbye's time for all of it.
    if (!role->admitted || life == LIFE_GOODBYE)
        return &pool->goodbye;
    if (life == LIFE_OPENING)
        return &pool->opening;
    return life == LIFE_READING ? &pool->idle : &pool->owing;
}
