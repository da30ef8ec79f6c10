// SPDX-License-Identifier: MIT
#include <errno.h>
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

static int print(const char *text)
{
    if (fputs(text, stdout) == EOF || fflush(stdout) == EOF) {
        fprintf(stderr, "echo-bench: standard output: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static int print_help(void)
{
    char room[HELP_ROOM];
    struct text help = text_in(room, sizeof room);

    settings_help(&help);
    return print(text_end(&help));
}

static int write_hgrm(const struct settings *settings, const struct results *results)
{
    static char room[HGRM_ROOM];
    struct text text = text_in(room, sizeof room);
    FILE *file = fopen(settings->hgrm, "we");
    bool written = false;

    report_hgrm(results, &text);
    if (file) {
        written = fputs(text_end(&text), file) != EOF;
        written = fclose(file) != EOF && written;
    }
    if (!written)
        fprintf(stderr, "echo-bench: %s: %s\n", settings->hgrm, strerror(errno));
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_results(const struct settings *settings, const struct results *results)
{
    char room[REPORT_ROOM];
    struct text text = text_in(room, sizeof room);

    if (settings->json)
        report_json(settings, results, &text);
    else
        report_text(settings, results, &text);
    int printed = print(text_end(&text));
    int written = settings->hgrm ? write_hgrm(settings, results) : EXIT_SUCCESS;
    return printed || written || results_faults(results) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool on_terminal(void)
{
    return isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

static int run(const struct settings *settings)
{
    static struct results results; // the histogram is large for a stack
    struct live live = {.shown = on_terminal(),
                        .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    int result = bench_run(settings, &live, &results);

    if (live.shown)
        fputs("\r\033[K", stderr);
    return result == 0 ? print_results(settings, &results) : EXIT_FAILURE;
}

static int check_pid(const struct settings *settings)
{
    struct cost cost;

    if (settings->pid == 0 || cost_read(settings->pid, settings->tree, &cost))
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

int main(int argc, char *argv[])
{
    struct settings settings;
    char room[256];
    struct text error = text_in(room, sizeof room);

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
    return run(&settings);
}
