// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/fault.h"
#include "feed.h"

// The kind, the number and the text, or how it is used.
static const char *parsed(const char *message)
{
    static char room[200];
    struct fault fault = fault_parse(message, strlen(message));

    if (fault.usage)
        snprintf(room, sizeof room, "%d usage %s", fault.kind, fault.usage);
    else
        snprintf(room, sizeof room, "%d %u '%.*s'%s", fault.kind, fault.number, (int)fault.length,
                 fault.text ? fault.text : "", fault.tcp_only ? " tcp" : "");
    return room;
}

static const char *const faults[][2] = {
    {"/delay 0 x", "1 0 'x'"},
    {"/delay 3600000 x y\r\n", "1 3600000 'x y'"},
    {"/delay 3600001 x", "1 usage /delay MS TEXT"},
    {"/delay 5 ", "1 5 ''"},
    {"/delay 5", "1 usage /delay MS TEXT"},
    {"/delay 5\n", "1 usage /delay MS TEXT"},
    {"/delay ", "1 usage /delay MS TEXT"},
    {"/delay", "1 usage /delay MS TEXT"},
    {"/delay\t7\tx", "1 7 'x'"},
    {"/delay\r7\rx", "1 7 'x'"},
    {"/delay\v7\fx", "1 7 'x'"},
    {"/delay  7 x", "1 usage /delay MS TEXT"},
    {"/delay -7 x", "1 usage /delay MS TEXT"},
    {"/delay\b7 x", "0 0 ''"},
    {"/delay!7 x", "0 0 ''"},
    {"/drip 60000 ab", "2 60000 'ab' tcp"},
    {"/drip 60001 ab", "2 usage /drip MS TEXT"},
    {"/drop", "3 0 ''"},
    {"/drop x", "3 0 ''"},
    {"/close", "4 0 '' tcp"},
    {"/reset x\r", "5 0 '' tcp"},
    {"/pause 0", "6 0 '' tcp"},
    {"/pause 3600000 x", "6 3600000 '' tcp"},
    {"/pause 3600001", "6 usage /pause MS"},
    {"/bytes 1\n", "7 1 '' tcp"},
    {"/bytes 0", "7 usage /bytes N"},
    {"/bytes 1073741824", "7 1073741824 '' tcp"},
    {"/bytes 1073741825", "7 usage /bytes N"},
    {"/help", "8 0 ''"},
    {"/", "0 0 ''"},
    {"", "0 0 ''"},
    {"\r\n", "0 0 ''"},
    {"/hel", "0 0 ''"},
    {"/helpx", "0 0 ''"},
    {" /help", "0 0 ''"},
};

TEST(a_fault_has_a_number_and_a_text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(faults); i++)
        assert_string_equal(parsed(faults[i][0]), faults[i][1]);
}

TEST(nothing_before_the_message_is_looked_at)
{
    static const char ends[] = "\n\n\n";

    assert_int_equal(fault_parse(ends + 2, 1).kind, FAULT_NONE);
    assert_int_equal(fault_parse(ends + 2, 0).kind, FAULT_NONE);
}

// Nothing behind the message is looked at, wherever it ends.
TEST(a_message_that_ends_early_asks_for_as_much_as_it_says)
{
    static const char message[] = "/delay 70 text\r\n";

    for (size_t length = 0; length < sizeof message; length++) {
        char *exact = malloc(length + 1);

        memcpy(exact, message, length);
        exact[length] = '1';
        struct fault fault = fault_parse(exact, length);
        struct wish wish = lines_wish(exact, length);
        assert_int_equal(fault.kind, length < 6 ? FAULT_NONE : FAULT_DELAY);
        assert_int_equal(fault.usage != NULL, wish.kind == WISH_USAGE);
        if (wish.kind == WISH_DELAY)
            assert_int_equal(fault.length, wish.length);
        free(exact);
    }
}

TEST(each_fault_but_help_has_a_name)
{
    static const char *const name[] = {NULL,    "delay", "drip",  "drop", "close",
                                       "reset", "pause", "bytes", NULL};
    char room[200];
    struct text text = text_in(room, sizeof room);

    for (int kind = FAULT_NONE; kind <= FAULT_HELP; kind++)
        if (name[kind])
            assert_string_equal(fault_name((enum fault_kind)kind), name[kind]);
        else
            assert_null(fault_name((enum fault_kind)kind));
    fault_help(&text);
    assert_string_equal(text_end(&text), " /delay MS TEXT /drip MS TEXT /drop TEXT /close /reset "
                                         "/pause MS /bytes N");
}
