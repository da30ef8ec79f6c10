// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "cost.h"
#include "report.h"

enum { EXIT_USAGE = 2, HELP_ROOM = 4096 };

static int failed(const char *what)
{
    fprintf(stderr, "echo-bench: %s: %s\n", what, strerror(errno));
    return EXIT_FAILURE;
}

static int print(const char *text)
{
    return fputs(text, stdout) == EOF || fflush(stdout) == EOF ? failed("standard output")
                                                               : EXIT_SUCCESS;
}

static int print_help(void)
{
    char room[HELP_ROOM];
    struct text help = text_in(room, sizeof room);

    settings_help(&help);
    return print(text_end(&help));
}

// Before the run, so that it does not end in a name that was mistaken; what an earlier run has
// written stays until there is something better.
static FILE *open_hgrm(const struct settings *settings)
{
    int fd = open(settings->hgrm, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

    return fd < 0 ? NULL : fdopen(fd, "w");
}

static int write_hgrm(const struct settings *settings, const struct results *results, FILE *file)
{
    static char room[HGRM_ROOM];
    struct text text = text_in(room, sizeof room);
    bool cut = ftruncate(fileno(file), 0) == 0 || errno == EINVAL; // as of a pipe

    report_hgrm(results, &text);
    bool written = fputs(text_end(&text), file) != EOF;
    return fflush(file) != EOF && written && cut ? EXIT_SUCCESS : failed(settings->hgrm);
}

static int print_results(const struct settings *settings, const struct results *results)
{
    char room[REPORT_ROOM];
    struct text text = text_in(room, sizeof room);

    if (settings->json)
        report_json(settings, results, &text);
    else
        report_text(settings, results, &text);
    return print(text_end(&text));
}

// Whether all that was asked for was measured, and was right.
static int judge(const struct settings *settings, const struct results *results)
{
    const struct server_results *server = &results->server;
    bool known = server->cost && (server->memory || settings->idle == 0) &&
                 (server->rest || settings->rest == 0);

    if (!results_good(results))
        return EXIT_FAILURE;
    if (settings->pid == 0 || known)
        return EXIT_SUCCESS;
    fprintf(stderr,
            "echo-bench: --pid: process %d has ended, cannot be looked at, or took no CPU time: "
            "is it the server?\n",
            (int)settings->pid);
    return EXIT_FAILURE;
}

static bool on_terminal(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

static int run(const struct settings *settings, FILE *hgrm)
{
    static struct results results; // the histogram is large for a stack
    struct live live = {.shown = on_terminal(),
                        .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};

    int result = bench_run(settings, &live, &results);
    if (live.shown)
        fputs("\r\033[K", stderr);
    if (result < 0)
        return EXIT_FAILURE;
    int printed = print_results(settings, &results);
    int written = hgrm ? write_hgrm(settings, &results, hgrm) : EXIT_SUCCESS;
    return printed || written ? EXIT_FAILURE : judge(settings, &results);
}

static int run_with_hgrm(const struct settings *settings)
{
    FILE *hgrm = open_hgrm(settings);

    if (!hgrm)
        return failed(settings->hgrm);
    int status = run(settings, hgrm);
    fclose(hgrm);
    return status;
}

static int check_pid(const struct settings *settings)
{
    struct cost cost;
    struct memory memory;

    if (settings->pid == 0 ||
        (cost_read(settings->pid, settings->tree, &cost) &&
         (settings->idle == 0 || cost_memory(settings->pid, settings->tree, &memory))))
        return EXIT_SUCCESS;
    fprintf(stderr, "echo-bench: --pid: process %d: %s\n", (int)settings->pid, strerror(errno));
    return EXIT_FAILURE;
}

// SIGINT and SIGTERM end the process, until a run takes them: a shell's background jobs ignore the
// one, and others block both.
static void let_signals_end(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL); // cannot fail
    signal(SIGPIPE, SIG_IGN);             // a reader that goes is a failed write
}

// No socket may take the place of a standard stream that is closed: the report would go there.
static void keep_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char *argv[])
{
    struct settings settings;
    char room[256];
    struct text error = text_in(room, sizeof room);

    keep_streams();
    let_signals_end();
    setlocale(LC_CTYPE, "");
    if (!settings_parse(&settings, argc, argv, &error)) {
        fprintf(stderr, "echo-bench: %s\nTry 'echo-bench --help'.\n", text_end(&error));
        return EXIT_USAGE;
    }
    if (settings.help)
        return print_help();
    if (settings.version)
        return print("echo-bench " VERSION "\n");
    if (check_pid(&settings) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    return settings.hgrm ? run_with_hgrm(&settings) : run(&settings, NULL);
}
