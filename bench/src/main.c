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
#include "export.h"
#include "report.h"
#include "summary.h"

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

    export_hgrm(&results->latency, &text);
    bool written = fputs(text_end(&text), file) != EOF;
    return fflush(file) != EOF && written && cut ? EXIT_SUCCESS : failed(settings->hgrm);
}

// One object; if runs are to be repeated, one in which they are listed.
static int print_json(const struct settings *settings, const struct runs *runs)
{
    static char room[JSON_ROOM];
    bool many = settings->repeat > 1;
    struct text text = text_in(room, sizeof room);

    for (unsigned i = 0; i < runs->count; i++) {
        text_string(&text, i > 0 ? ",\n" : many ? "{\"runs\": [" : "");
        export_json(settings, &runs->all[i], &text);
        fputs(text_end(&text), stdout);
        text = text_in(room, sizeof room);
    }
    text_string(&text, many ? "]}\n" : "\n");
    int printed = print(text_end(&text));
    return ferror(stdout) ? EXIT_FAILURE : printed;
}

static int print_results(const struct settings *settings, const struct runs *runs)
{
    static char room[SUMMARY_ROOM];
    struct text text = text_in(room, sizeof room);

    if (settings->json)
        return print_json(settings, runs);
    if (settings->repeat > 1)
        summary_text(settings, runs, &text);
    else
        report_text(settings, runs->all, &text);
    return print(text_end(&text));
}

// Whether all that was asked for was measured, and was right.
static int judge_run(const struct settings *settings, const struct results *results)
{
    const struct server_results *server = &results->server;
    bool known = server->cost && (server->memory || settings->idle == 0) &&
                 (server->rest || settings->rest == 0);

    if (!results_complete(results) ||
        (results_faults(results) > 0 && !expect_has(&settings->expect, "errors")))
        return EXIT_FAILURE;
    if (settings->pid == 0 || known)
        return EXIT_SUCCESS;
    fprintf(stderr,
            "echo-bench: --pid: process %d has ended, cannot be looked at, or took no CPU time: "
            "is it the server?\n",
            (int)settings->pid);
    return EXIT_FAILURE;
}

// Whether the median of the runs keeps the bound.
static int judge_bound(const struct bound *bound, const struct runs *runs)
{
    struct spread spread = summary_spread(runs, bound->figure);
    struct figure measured = {spread.known, spread.median};
    char room[FIGURE_TEXT_MAX];

    if (expect_kept(bound, measured))
        return EXIT_SUCCESS;
    fprintf(stderr, "echo-bench: expected %.*s, and it was %s%s\n", bound->length, bound->text,
            figure_text(room, measured, bound->figure->decimals),
            !spread.known         ? ": not measured, or by too few messages"
            : bound->figure->time ? " us"
                                  : "");
    return EXIT_FAILURE;
}

static int judge(const struct settings *settings, const struct runs *runs)
{
    int status = EXIT_SUCCESS;

    for (unsigned i = 0; i < runs->count; i++)
        status |= judge_run(settings, &runs->all[i]);
    for (unsigned i = 0; i < settings->expect.count; i++)
        status |= judge_bound(&settings->expect.bounds[i], runs);
    return status;
}

// As many runs as are wanted, or until one is interrupted. False with the reason on standard error.
static bool make_runs(const struct settings *settings, struct runs *runs)
{
    while (runs->count < settings->repeat) {
        struct live live = {.unicode = settings->unicode, .us = settings->us};
        struct results *results = &runs->all[runs->count++];

        live.shown = isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && !settings->lines;
        int result = bench_run(settings, &live, results);
        fputs(live.shown ? "\r\033[K" : "", stderr);
        if (result < 0 || results->interrupted)
            return result == 0;
    }
    return true;
}

static int report_runs(const struct settings *settings, const struct runs *runs, FILE *hgrm)
{
    int printed = print_results(settings, runs);
    int written = hgrm ? write_hgrm(settings, runs->all, hgrm) : EXIT_SUCCESS;

    return printed || written ? EXIT_FAILURE : judge(settings, runs);
}

static int run(const struct settings *settings)
{
    FILE *hgrm = settings->hgrm ? open_hgrm(settings) : NULL;
    struct runs runs = {.all = calloc(settings->repeat, sizeof(struct results))};
    int status = EXIT_FAILURE;

    if (settings->hgrm && !hgrm)
        failed(settings->hgrm);
    else if (!runs.all)
        failed("memory for the results");
    else if (make_runs(settings, &runs))
        status = report_runs(settings, &runs, hgrm);
    if (hgrm)
        fclose(hgrm);
    free(runs.all);
    return status;
}

static int check_pid(const struct settings *settings)
{
    struct cost cost;
    struct memory memory;

    if (settings->pid == 0 || (cost_read(settings->pid, &cost) &&
                               (settings->idle == 0 || cost_memory(settings->pid, &memory))))
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
    settings.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    settings.us = settings.unicode ? "µs" : "us";
    if (settings.help)
        return print_help();
    if (settings.version)
        return print("echo-bench " VERSION "\n");
    if (check_pid(&settings) != EXIT_SUCCESS)
        return EXIT_FAILURE;
    return run(&settings);
}
