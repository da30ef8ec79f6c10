// SPDX-License-Identifier: MIT
// libevent with bufferevents: what was read is moved to the output without a copy.
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>

#include "model.h"

enum { UNSENT_MAX_BYTES = 1 << 18 };

static void on_read(struct bufferevent *client, void *data)
{
    (void)data;
    bufferevent_write_buffer(client, bufferevent_get_input(client));
    if (evbuffer_get_length(bufferevent_get_output(client)) > UNSENT_MAX_BYTES)
        bufferevent_disable(client, EV_READ);
}

// All is sent.
static void on_write(struct bufferevent *client, void *data)
{
    (void)data;
    bufferevent_enable(client, EV_READ);
}

static void on_end(struct bufferevent *client, short what, void *data)
{
    (void)what, (void)data;
    bufferevent_free(client);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int length, void *data)
{
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);

    (void)peer, (void)length, (void)data;
    bufferevent_setcb(client, on_read, on_write, on_end, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

int main(int argc, char *argv[])
{
    int fd = model_socket(argc, argv, SOCK_STREAM | SOCK_NONBLOCK);
    struct event_base *base = event_base_new();

    signal(SIGPIPE, SIG_IGN);
    evconnlistener_new(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, -1, fd);
    event_base_dispatch(base);
}
