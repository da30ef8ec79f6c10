// SPDX-License-Identifier: MIT
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "ground/util.h"

static const struct {
    const char *name;
    double microseconds;
} units[] = {{"ns", 1e-3}, {"us", 1}, {"µs", 1}, {"ms", 1e3}, {"s", 1e6}};

// Reads a number and, of a time, its unit: all of TEXT up to END.
static bool read_value(struct bound *bound, const char *text, const char *end)
{
    char *unit;

    if (!strchr("0123456789.", *text) || strncmp(text, "0x", 2) == 0)
        return false;
    bound->value = strtod(text, &unit);
    if (!bound->figure->time)
        return unit == end;
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
        if (unit + strlen(units[i].name) == end &&
            memcmp(units[i].name, unit, (size_t)(end - unit)) == 0) {
            bound->value *= units[i].microseconds;
            return true;
        }
    return false;
}

// What is wrong with the bound, or NULL.
static const char *read_bound(struct bound *bound)
{
    const char *sign = bound->text + strcspn(bound->text, "<=>,");
    size_t length = strspn(sign, "<=>");

    bound->figure = figure_find(bound->text, (size_t)(sign - bound->text));
    if (!bound->figure)
        return "names no figure: rate, p50, p99.9, max, errors, see echo-bench(1)";
    if (length == 0 || length > 2 || (length == 2 && (sign[0] == '=' || sign[1] != '=')))
        return "has no <, <=, =, >= or >";
    memcpy(bound->relation, sign, length);
    if (!read_value(bound, sign + length, bound->text + bound->length))
        return bound->figure->time ? "needs a number and a unit: ns, us, ms or s"
                                   : "needs a number, without a unit";
    return NULL;
}

bool expect_read(struct expect *expect, const char *list, struct text *error)
{
    for (const char *at = list;; at++) {
        struct bound bound = {.text = at, .length = (int)strcspn(at, ",")};
        const char *wrong = expect->count < EXPECT_MAX ? read_bound(&bound) : "is one too many";

        if (wrong) {
            text_format(error, "--expect: '%.*s' %s", bound.length < 64 ? bound.length : 64, at,
                        wrong);
            return false;
        }
        expect->bounds[expect->count++] = bound;
        at += bound.length;
        if (!*at)
            return true;
    }
}

bool expect_kept(const struct bound *bound, struct figure measured)
{
    char sign = measured.value < bound->value ? '<' : measured.value > bound->value ? '>' : '=';

    return measured.known && strchr(bound->relation, sign);
}

bool expect_has(const struct expect *expect, const char *name)
{
    for (unsigned i = 0; i < expect->count; i++)
        if (strcmp(expect->bounds[i].figure->name, name) == 0)
            return true;
    return false;
}
