// SPDX-License-Identifier: MIT
// libuv: one read buffer for all, and a request only for what uv_try_write has left over.
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "model.h"

struct rest {
    uv_write_t request;
    char bytes[];
};

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    static char bytes[MODEL_BUFFER_BYTES];

    (void)handle, (void)wanted;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_close(uv_handle_t *handle)
{
    free(handle);
}

static void on_read(uv_stream_t *client, ssize_t got, const uv_buf_t *buffer);

static void on_written(uv_write_t *request, int status)
{
    uv_stream_t *client = request->handle;

    free(request);
    if (status == 0)
        uv_read_start(client, on_buffer, on_read);
    else if (!uv_is_closing((uv_handle_t *)client))
        uv_close((uv_handle_t *)client, on_close);
}

static void write_rest(uv_stream_t *client, const char *bytes, size_t length)
{
    struct rest *rest = malloc(sizeof *rest + length);
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)length);

    memcpy(rest->bytes, bytes, length);
    uv_read_stop(client);
    uv_write(&rest->request, client, &buffer, 1, on_written);
}

static void on_read(uv_stream_t *client, ssize_t got, const uv_buf_t *buffer)
{
    if (got == 0)
        return;
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)(got > 0 ? got : 0));
    int sent = got > 0 ? uv_try_write(client, &answer, 1) : (int)got;

    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0)
        uv_close((uv_handle_t *)client, on_close);
    else if (sent < got)
        write_rest(client, buffer->base + sent, (size_t)(got - sent));
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *client = malloc(sizeof *client);

    (void)status;
    uv_tcp_init(listener->loop, client);
    if (uv_accept(listener, (uv_stream_t *)client) == 0)
        uv_read_start((uv_stream_t *)client, on_buffer, on_read);
    else
        uv_close((uv_handle_t *)client, on_close);
}

int main(int argc, char *argv[])
{
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t listener;

    signal(SIGPIPE, SIG_IGN);
    uv_tcp_init(loop, &listener);
    uv_tcp_open(&listener, model_socket(argc, argv, SOCK_STREAM));
    model_check(uv_listen((uv_stream_t *)&listener, MODEL_BACKLOG, on_connection), "uv_listen");
    uv_run(loop, UV_RUN_DEFAULT);
}
