// SPDX-License-Identifier: MIT
#include "churn.h"

#include <errno.h>

#include "clock.h"
#include "lines.h"

static void ready(struct watch *watch, uint32_t events);

// Begins a connection and, where the handshake is through already, sends its message.
static void connect_line(struct line *line)
{
    struct flow *flow = &line->flow;

    flow->watch = (struct watch){.ready = ready, .fd = dial_begin(traffic_of(flow)->target)};
    if (flow->watch.fd < 0 || loop_add(flow->flows->loop, &flow->watch, EPOLLIN) < 0)
        line_fail(line, errno);
    else
        lines_send(line);
}

// The next connection begins when the one before is closed.
static void go(struct flow *flow, uint64_t now)
{
    struct line *line = container_of(flow, struct line, flow);

    if (flow->in_flight == 0 && line_begin(line, now) > 0)
        connect_line(line);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct line *line = container_of(watch, struct line, flow.watch);
    struct flow *flow = &line->flow;

    if (events != EPOLLOUT)
        lines_read(line);
    if (flow->in_flight > 0) {
        lines_send(line);
        return;
    }
    flow_close(flow);
    line_renew(line);
    go(flow, clock_now());
}

// The connections are made with the messages.
static bool open_line(struct flow *flow)
{
    line_init(container_of(flow, struct line, flow));
    return dial_choose(traffic_of(flow)->target) == 0;
}

static void give_up(struct flow *flow, uint64_t before)
{
    struct line *line = container_of(flow, struct line, flow);

    (void)before;
    line_give_up(line);
    flow_close(flow);
    line_renew(line);
}

struct traffic *churn_create(const struct settings *settings)
{
    struct traffic *traffic = lines_create(settings);

    if (!traffic)
        return NULL;
    traffic->open = open_line;
    traffic->go = go;
    traffic->give_up = give_up;
    return traffic;
}
