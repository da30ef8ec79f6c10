// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/options.h"
#include "ground/log.h"
#include "listen.h"
#include "probe.h"
#include "server.h"

enum { EXIT_USAGE = 2 };

// With one of them closed, the first socket would take its number, and the log would go to it.
static void open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            perror("epoll-echo: /dev/null");
            exit(EXIT_FAILURE);
        }
}

static int print(const char *text)
{
    fputs(text, stdout);
    fflush(stdout);
    if (ferror(stdout)) {
        fprintf(stderr, "epoll-echo: standard output: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int print_help(void)
{
    char room[4096];
    struct text help = text_in(room, sizeof room);

    options_help(&help);
    return print(text_end(&help));
}

static int probe(const struct probe *probe)
{
    char room[256];
    struct text problem = text_in(room, sizeof room);
    int status = probe_run(probe, &problem);

    if (status != EXIT_SUCCESS)
        fprintf(stderr, "epoll-echo: %s: %s\n", probe->text, text_end(&problem));
    return status;
}

static int serve(const struct options *options, char *arguments[])
{
    struct server server;

    log_set_level(options->log_level);
    log_set_rate(options->log_rate);
    if (server_init(&server, options, arguments) < 0)
        return EXIT_FAILURE;
    int result = server_run(&server);
    server_finish(&server);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    struct options options;
    char room[256];
    struct text error = text_in(room, sizeof room);

    server_block_signals();
    open_standard_descriptors();
    if (!options_parse(&options, argc, argv, &error) || !listen_check(&options, &error)) {
        fprintf(stderr, "epoll-echo: %s\nTry 'epoll-echo --help'.\n", text_end(&error));
        return EXIT_USAGE;
    }
    if (options.help)
        return print_help();
    if (options.version)
        return print("epoll-echo " VERSION "\n");
    if (options.probe.text)
        return probe(&options.probe);
    return serve(&options, argv);
}
