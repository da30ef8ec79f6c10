// SPDX-License-Identifier: MIT
#include "client.h"

#include <stdio.h>
#include <string.h>

#include "judge.h"
#include "world.h"

enum { LINE_LONGEST = 100000, FLOOD_MAX = 40000, ENDLESS = 2500000 };

void talk_begin(struct talk *talk, size_t line_max)
{
    *talk = (struct talk){.kind = (enum talk_kind)between(0, TALK_SILENT),
                          .line_max = line_max,
                          .budget = magnitude(60000),
                          .unterminated = one_in(3)};
    if (talk->kind == TALK_FLOOD)
        talk->budget *= 5;
    if (talk->kind == TALK_ENDLESS)
        talk->budget = one_in(10) ? ENDLESS : 0;
    if (talk->kind == TALK_TRICKLE)
        talk->budget %= 300;
    if (talk->kind == TALK_SILENT)
        talk->budget = 0;
}

const char *talk_command(void)
{
    static const char *const command[] = {
        "/stats",      "/time",           "/whoami", "/help",      "/shutdown", "/shutdown ",
        "/shutdown x", "/Stats",          "/",       "/stats all", "/help\t",   "/whoami\v",
        "/timetime",   "/shutdown\topen", "/time\r", "/help\r\r",  "/\r",       "/stats\r",
        "//",          "/help /time",
    };

    if (one_in(300))
        return "/shutdown " JUDGE_TOKEN;
    return command[between(0, ARRAY_LENGTH(command) - 1)];
}

// LENGTH bytes of anything but LF.
static void put_rubbish(struct fifo *out, size_t length)
{
    char bytes[256];

    while (length > 0) {
        size_t count = length < sizeof bytes ? length : sizeof bytes;

        for (size_t i = 0; i < count; i++) {
            bytes[i] = (char)between(0, 255);
            if (bytes[i] == '\n')
                bytes[i] = '\r';
        }
        fifo_put(out, bytes, count);
        length -= count;
    }
}

static size_t choose_length(const struct talk *talk)
{
    uint64_t kind = between(0, 19);
    size_t length = magnitude(40);

    if (talk->kind == TALK_LONG || kind == 0)
        length = magnitude(talk->line_max);
    if (kind == 1)
        length = talk->line_max;
    if (kind == 2 || (kind < 6 && talk->kind == TALK_LONG))
        length = talk->line_max + 1;
    if (kind == 3)
        length = talk->line_max + magnitude(3 * talk->line_max);
    return length < LINE_LONGEST ? length : LINE_LONGEST;
}

// The same short line again and again: many lines, or many answers, in one read.
static void put_flood(struct fifo *out)
{
    static const char *const line[] = {"\n", "a\n", "/x\n", "/help\n", "\r\n", "ab\n/\n"};
    const char *text = line[between(0, ARRAY_LENGTH(line) - 1)];

    for (uint64_t left = magnitude(FLOOD_MAX); left > 0; left--)
        fifo_put(out, text, strlen(text));
}

// Without an LF: overlong at once, and then more than any goodbye discards.
static void put_endless(struct fifo *out)
{
    static const char zeros[65536];

    fifo_put(out, zeros, between(60000, sizeof zeros));
}

// Now and then an hour, mostly much less.
static unsigned choose_milliseconds(void)
{
    return one_in(200) ? 3600000 : (unsigned)magnitude(one_in(10) ? 60000 : 300);
}

void talk_fault(struct fifo *out)
{
    static const char *const wrong[] = {
        "/delay",        "/delay 5", "/delay x y",        "/delay 3600001 x",
        "/drip 60001 x", "/drip",    "/drip  1 x",        "/pause",
        "/pause -1",     "/bytes 0", "/bytes 1073741825", "/bytes 1x",
        "/close now",    "/dropped"};
    static const char *const end[] = {"/close", "/reset", "/close\r", "/drop", "/drop x y"};
    char text[64];

    switch (between(0, 7)) {
    case 0:
    case 1:
        snprintf(text, sizeof text, "/delay %u %.*s", choose_milliseconds(), (int)between(0, 9),
                 "delayed\r\r");
        break;
    case 2:
        snprintf(text, sizeof text, "/drip %u %.*s", (unsigned)magnitude(one_in(10) ? 3000 : 50),
                 (int)between(0, 9), "in drops");
        break;
    case 3:
        snprintf(text, sizeof text, "/pause %u", choose_milliseconds());
        break;
    case 4:
        snprintf(text, sizeof text, "/bytes %u",
                 1 + (unsigned)magnitude(one_in(4) ? 300000 : 3000));
        break;
    case 5:
        snprintf(text, sizeof text, "%s", wrong[between(0, ARRAY_LENGTH(wrong) - 1)]);
        break;
    default:
        snprintf(text, sizeof text, "%s",
                 end[one_in(4) ? between(0, 2) : between(3, ARRAY_LENGTH(end) - 1)]);
    }
    fifo_put(out, text, strlen(text));
}

static void put_line(const struct talk *talk, struct fifo *out)
{
    if (talk->faults && one_in(3)) {
        talk_fault(out);
    } else if (between(0, 9) < (talk->kind == TALK_COMMANDS ? 8 : 1)) {
        const char *command = talk_command();

        fifo_put(out, command, strlen(command));
    } else {
        put_rubbish(out, choose_length(talk));
    }
    if (talk->budget > 0 || !talk->unterminated)
        fifo_put(out, "\n", 1);
}

void talk_next(struct talk *talk, struct fifo *out)
{
    size_t before = out->length;

    if (talk->budget == 0)
        return;
    if (talk->text)
        fifo_put(out, talk->text, strlen(talk->text));
    else if (talk->kind == TALK_ENDLESS)
        put_endless(out);
    else if (talk->kind == TALK_FLOOD && one_in(3))
        put_flood(out);
    else
        put_line(talk, out);
    size_t said = out->length - before + 1;
    talk->budget -= said < talk->budget ? said : talk->budget;
    // The last message is told apart only now.
    if (talk->budget == 0 && talk->unterminated && !talk->text && out->length > before + 1 &&
        fifo_first(out)[out->length - 1] == '\n')
        out->length--;
}
