// SPDX-License-Identifier: MIT
#include "summary.h"

#include <stdlib.h>

#include "report.h"

// A spread of so many per cent of the median is said to be wide: smaller differences are what such
// measurements are made for.
enum { WIDE_PERCENT = 10 };

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

// How many of COUNT sorted values may be left out at each end so that the median still lies between
// the rest with 95 % confidence, whatever the distribution: each value is below it or not, as a
// coin falls. -1 if not even all of them will do.
static int left_out(unsigned count)
{
    double chance = 1, beyond = 0;
    int out = -1;

    for (unsigned i = 0; i < count; i++)
        chance /= 2;
    for (unsigned i = 0; 2 * (beyond + chance) <= 0.05; i++, out++) {
        beyond += chance;
        chance = chance * (count - i) / (i + 1);
    }
    return out;
}

struct spread spread_of(double *values, unsigned count)
{
    qsort(values, count, sizeof *values, compare);
    int out = left_out(count);
    struct spread spread = {.known = true,
                            .median = (values[(count - 1) / 2] + values[count / 2]) / 2,
                            .low = values[0],
                            .high = values[count - 1],
                            .confident = out >= 0};

    if (spread.confident) {
        spread.from = values[out];
        spread.to = values[count - 1 - (unsigned)out];
    }
    return spread;
}

struct spread summary_spread(const struct runs *runs, const struct figure_row *row)
{
    double values[RUNS_MAX] = {0};

    for (unsigned i = 0; i < runs->count; i++) {
        struct figure figure = figure_of(row, &runs->all[i]);

        if (!figure.known)
            return (struct spread){.known = false};
        values[i] = figure.value;
    }
    return spread_of(values, runs->count);
}

static double percent(const struct spread *spread)
{
    return spread->median > 0 ? 100 * (spread->high - spread->low) / spread->median : 0;
}

static void write_spread(const struct figure_row *row, const struct spread *spread,
                         struct text *text)
{
    const double values[] = {spread->median, spread->low, spread->high, spread->from, spread->to};
    char number[FIGURE_TEXT_MAX];

    text_format(text, "%-9s", row->name);
    for (size_t i = 0; i < (spread->confident ? 5 : 3); i++) {
        text_format(text, " %13s",
                    figure_text(number, (struct figure){true, values[i]}, row->decimals));
        if (i == 2)
            text_format(text, " %6.1f %%%s", percent(spread),
                        percent(spread) > WIDE_PERCENT ? "!" : " ");
    }
    text_string(text, "\n");
}

static void write_warnings(const struct runs *runs, struct text *text)
{
    for (unsigned i = 0; i < runs->count; i++) {
        char before[24];
        struct text mark = text_in(before, sizeof before);

        text_format(&mark, "! run %u: ", i + 1);
        report_warnings(&runs->all[i], text_end(&mark), text);
    }
    if (left_out(runs->count) < 0)
        text_string(text, "with 6 runs and more there is a 95 % confidence interval\n");
}

void summary_text(const struct settings *settings, const struct runs *runs, struct text *text)
{
    bool wide = false;

    report_what(settings, text);
    text_format(text, "%u runs; times in %s\n%-9s %13s %13s %13s %8s%s", runs->count, settings->us,
                "", "median", "lowest", "highest", "spread",
                left_out(runs->count) >= 0 ? "   95 % confident that it is in\n" : "\n");
    for (size_t i = 0; i < FIGURES; i++) {
        struct spread spread = summary_spread(runs, &figure_rows[i]);

        if (!figure_rows[i].summed_up || !spread.known)
            continue;
        write_spread(&figure_rows[i], &spread, text);
        wide = wide || percent(&spread) > WIDE_PERCENT;
    }
    if (wide)
        text_string(text,
                    "! wide: where the runs differ by more than 10 % of the median no smaller "
                    "difference can be told\n");
    write_warnings(runs, text);
}
