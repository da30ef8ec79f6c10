// SPDX-License-Identifier: MIT
// The role faulty: what waits, what is left out, what ends, and that all else is echo's.
#include "unit.h"

#include "core/command.h"
#include "core/fault.h"
#include "feed.h"
#include "roles/role.h"

enum { MAX_LINE = 40 };

static struct memory memory;
static struct facts facts;
static char buffer[1 << 20];
static char heard[1 << 20];
static size_t heard_length;

BEFORE_EACH
{
    memory = (struct memory){.discarding = false};
    heard_length = 0;
}

// All that is answered to INPUT, as the transport would have it: "[MS]" where it waits, and at the
// end
// "!" for a close, "#" for a reset, "…" for an unfinished line.
static const char *answers(const char *input, bool ended)
{
    size_t length = strlen(input), from = 0;

    heard_length = 0;
    for (int turns = 0; turns < 10000; turns++) {
        struct turn turn = {.input = input + from,
                            .length = length - from,
                            .ended = ended,
                            .max_line = MAX_LINE,
                            .facts = &facts,
                            .reply.buffer = buffer};
        enum outcome outcome = role_faulty.stream(&memory, &turn);

        assert_true(turn_within_bounds(&turn, outcome));
        memcpy(heard + heard_length, turn.reply.bytes ? turn.reply.bytes : "", turn.reply.length);
        heard_length += turn.reply.length;
        from += turn.done;
        const char *end = outcome == TURN_CLOSE                   ? "!"
                          : outcome == TURN_RESET                 ? "#"
                          : outcome == TURN_MORE && from < length ? "…"
                                                                  : "";
        if (outcome == TURN_WAIT)
            heard_length += (size_t)sprintf(heard + heard_length, "[%u]", turn.wait_ms);
        if (outcome == TURN_WAIT || outcome == TURN_AGAIN)
            continue;
        strcpy(heard + heard_length, end);
        return heard;
    }
    fail_msg("it never ends");
    return NULL;
}

#define FAULTS " /delay MS TEXT /drip MS TEXT /drop TEXT /close /reset /pause MS /bytes N\n"

// Behind the commands of every port.
TEST(help_names_the_faults_too)
{
    char room[TURN_TEXT_MAX_BYTES];
    struct text help = text_in(room, sizeof room);

    command_help(&help);
    text_string(&help, FAULTS);
    assert_string_equal(answers("/help\n", false), text_end(&help));
}

TEST(faults_are_committed_in_order)
{
    static const char *const row[][2] = {
        {"a\n/health\n", "a\nready up 100%\n"},
        {"a\n/delay 5 later\nb\n", "a\n[5]later\nb\n"},
        {"/delay 5 one\n/delay 7 two\r\n", "[5]one\n[7]two\n"},
        {"/delay 0  x \n", "[0] x \n"}, // one blank belongs to the command
        {"/drip 3 ab\nc\n", "[3]a[3]b[3]\nc\n"},
        {"/drip 3 \n", "[3]\n"},
        {"a\n/drop b\nc\nd\n", "a\nc\nd\n"},
        {"/drop\n/drop x\n", ""},
        {"a\n/close\nb\n", "a\n!"},
        {"a\n/reset now\nb\n", "a\n#"},
        {"a\n/pause 9\nb\n", "a\n[9]b\n"},
        {"/pause 9\n", "[9]"},
        {"/bytes 1\n/bytes 3\nx\n", "\nxx\nx\n"},
        {"/helpx\n", "ERR unknown-command\n"},
        {"/delay\n/delay x y\n/delay 3600001 x\n/delay 5\n",
         "ERR usage /delay MS TEXT\nERR usage /delay MS TEXT\nERR usage /delay MS TEXT\n"
         "ERR usage /delay MS TEXT\n"},
        {"/drip 60001 x\n/pause\n/pause -1\n/bytes 0\n/bytes 1073741825\n",
         "ERR usage /drip MS TEXT\nERR usage /pause MS\nERR usage /pause MS\n"
         "ERR usage /bytes N\nERR usage /bytes N\n"},
        {"/delay 5 ab", "…"},
        {"a\n/del", "a\n…"},
        {"x/delay 5 ab\n", "x/delay 5 ab\n"},
        {"/delay 123 a line that is longer than forty bytes\nb\n", "ERR too-long-line\nb\n"},
        {"0123456789012345678901234567890123456789x/\n/drop\nb\n", "ERR too-long-line\nb\n"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        memory = (struct memory){.discarding = false};
        assert_string_equal(answers(row[i][0], false), row[i][1]);
    }
    assert_true(memory_empty(&memory));
}

TEST(a_last_line_without_its_end_commits_one_too)
{
    assert_string_equal(answers("/delay 5 ab", true), "[5]ab\n");
    assert_string_equal(answers("a\n/close", true), "a\n!");
}

// What is in the midst of something is remembered between turns, and then forgotten.
TEST(a_wait_is_remembered)
{
    static const char line[] = "/delay 5 x\n", pause[] = "/pause 5\n";
    struct turn turn = {.input = line, .length = 11, .max_line = MAX_LINE, .reply.buffer = buffer};

    assert_int_equal(role_faulty.stream(&memory, &turn), TURN_WAIT);
    assert_int_equal(turn.done, 0);
    assert_int_equal(turn.begun, NOTHING_BEGUN);
    assert_false(memory_empty(&memory));
    turn = (struct turn){.input = pause, .length = 9, .max_line = MAX_LINE, .reply.buffer = buffer};
    memory = (struct memory){.discarding = false};
    assert_int_equal(role_faulty.stream(&memory, &turn), TURN_WAIT);
    assert_int_equal(turn.done, 9);
    assert_false(memory_empty(&memory)); // else there would be nothing that waits
    turn = (struct turn){.input = pause, .length = 0, .max_line = MAX_LINE, .reply.buffer = buffer};
    assert_int_equal(role_faulty.stream(&memory, &turn), TURN_MORE);
    assert_true(memory_empty(&memory));
}

TEST(the_rest_of_an_overlong_line_asks_for_nothing)
{
    static const char overlong[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    static const char rest[] = "/drop\n/delay 5 a\n/drop\nb\n";

    assert_string_equal(answers(overlong, false), "ERR too-long-line\n");
    assert_string_equal(answers(rest, false), "[5]a\nb\n");
    assert_string_equal(answers(overlong, false), "ERR too-long-line\n");
    assert_string_equal(answers("/close", false), "");
    assert_true(memory.discarding);
    struct turn turn = {
        .input = "\n/drop\n", .length = 7, .max_line = MAX_LINE, .reply.buffer = buffer};
    assert_int_equal(role_faulty.stream(&memory, &turn), TURN_MORE);
    assert_int_equal(turn.begun, NOTHING_BEGUN); // a line that is timed has begun
    assert_int_equal(turn.messages, 1);
    assert_int_equal(turn.reply.length, 0);
}

TEST(a_line_that_does_not_end_is_none_until_the_stream_does)
{
    assert_string_equal(answers("a\nb", true), "a\nb");
    assert_string_equal(answers("/drop\nb", true), "b");
    assert_string_equal(answers("a/\n/drop\nb", true), "a/\nb");
}

TEST(bytes_are_made_some_at_a_time)
{
    answers("/bytes 200001\n", false);
    assert_int_equal(heard_length, 200001);
    assert_int_equal(strspn(heard, "x"), 200000);
    assert_int_equal(heard[200000], '\n');
    answers("/bytes 65537\n", false); // one more than a turn makes
    assert_int_equal(heard_length, 65537);
    assert_int_equal(strspn(heard, "x"), 65536);
}

TEST(many_faults_in_one_turn_are_as_many_as_texts)
{
    char input[3 * TURN_TEXTS_MAX * 6 + 1] = "", expected[3 * TURN_TEXTS_MAX * 2 + 1] = "";

    for (int i = 0; i < TURN_TEXTS_MAX; i++) {
        strcat(input, "/drop\na\n");
        strcat(expected, "a\n");
    }
    assert_string_equal(answers(input, false), expected);
}

// /drop counts as two texts and /bytes as one, and three are the most that a fault may need.
TEST(a_turn_ends_where_a_fault_might_not_fit)
{
    static const char *const first[] = {"", "/bytes 1\n"};

    for (size_t i = 0; i < ARRAY_LENGTH(first); i++) {
        char input[TURN_TEXTS_MAX * 6 + 20];

        strcpy(input, first[i]);
        for (int drops = 0; drops < TURN_TEXTS_MAX; drops++)
            strcat(input, "/drop\n");
        struct turn turn = {.input = input,
                            .length = strlen(input),
                            .max_line = MAX_LINE,
                            .facts = &facts,
                            .reply.buffer = buffer};
        assert_int_equal(role_faulty.stream(&memory, &turn), TURN_AGAIN);
        assert_int_equal(turn.done,
                         strlen(first[i]) + (TURN_TEXTS_MAX / 2 - 1) * strlen("/drop\n"));
    }
}

static enum outcome datagram(const char *text, struct turn *turn)
{
    *turn = (struct turn){.input = text,
                          .length = strlen(text),
                          .ended = true,
                          .facts = &facts,
                          .reply.buffer = buffer};
    enum outcome outcome = role_faulty.datagram(turn);

    assert_int_equal(turn->done, turn->length);
    return outcome;
}

TEST(datagrams_commit_faults_of_their_own)
{
    struct turn turn;

    assert_int_equal(datagram("/delay 70 x y", &turn), TURN_WAIT);
    assert_bytes(turn.reply.bytes, turn.reply.length, "x y\n");
    assert_int_equal(turn.wait_ms, 70);
    assert_int_equal(datagram("/drop x\n", &turn), TURN_SILENT);
    for (const char *const *name = (const char *const[]){"/drip 1 x", "/close", "/reset",
                                                         "/pause 1", "/bytes 1", "/bytes", NULL};
         *name; name++) {
        assert_int_equal(datagram(*name, &turn), TURN_MORE);
        assert_bytes(turn.reply.bytes, turn.reply.length, "ERR tcp-only\n");
    }
    assert_int_equal(datagram("/delay 1", &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "ERR usage /delay MS TEXT\n");
    assert_int_equal(datagram("/help", &turn), TURN_MORE);
    assert_true(turn.reply.length > strlen(FAULTS));
    assert_bytes(turn.reply.bytes + turn.reply.length - strlen(FAULTS), strlen(FAULTS), FAULTS);
    assert_int_equal(datagram("plain", &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "plain");
    assert_int_equal(datagram("", &turn), TURN_MORE);
    assert_int_equal(turn.reply.length, 0);
}

TEST(each_fault_has_a_place_to_be_counted)
{
    struct turn turn;

    turn = (struct turn){
        .input = "/close\n", .length = 7, .max_line = MAX_LINE, .reply.buffer = buffer};
    assert_int_equal(role_faulty.stream(&memory, &turn), TURN_CLOSE);
    assert_int_equal(turn.reply.asked[COUNTED_FAULTS + FAULT_CLOSE - 1], 1);
    assert_int_equal(turn.reply.texts, 1); // there is none, but it is as much work
    datagram("/delay 1 x", &turn);
    assert_int_equal(turn.reply.asked[COUNTED_FAULTS], 1);
    assert_true(turn.reply.texts > 0); // else nobody looks
    assert_string_equal(fault_name(FAULT_BYTES), "bytes");
    assert_true(COUNTED_FAULTS + FAULT_BYTES - 1 < COUNTED_UNKNOWN);
    assert_null(fault_name(FAULT_HELP));
}

// A line of any kind into LINE, which has room.
static size_t choose_line(struct chance *chance, char *line)
{
    static const char *const kinds[] = {"a",         "/drop x",    "/help",     "/nothing",
                                        "/delay %u", "/delay %u ", "/drip %u ", "/pause %u",
                                        "/bytes %u", "/close %u",  "/reset%u",  "/reset"};
    uint64_t kind = chance_below(chance, ARRAY_LENGTH(kinds) - (chance_one_in(chance, 8) ? 0 : 3));
    int length = sprintf(line, kinds[kind], (unsigned)chance_magnitude(chance, 70000));

    for (uint64_t more = chance_magnitude(chance, MAX_LINE + 1); more > 0; more--)
        line[length++] = "xy \r/"[chance_below(chance, 5)];
    line[length++] = '\n';
    return (size_t)length;
}

TEST(any_stream_is_answered_as_the_model_has_it)
{
    enum { LINES_MAX = 40, LONGEST = 100 };
    struct chance chance = chance_start(7);
    struct gate gate = {.passed = false};
    struct terms terms = {.max_line = MAX_LINE, .facts = &facts, .faulty = true};

    facts = (struct facts){.time = {1795226463, 5}, .now = 1000, .gate = &gate};
    for (int round = 0; round < 3000; round++) {
        char stream[LINES_MAX * LONGEST];
        size_t length = 0, sizes[3];

        for (uint64_t left = chance_magnitude(&chance, LINES_MAX); left > 0; left--)
            length += choose_line(&chance, stream + length);
        length -= length > 0 && chance_one_in(&chance, 2); // the last LF
        for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++)
            sizes[i] = 1 + chance_magnitude(&chance, 500);
        struct answers said = model_answers(stream, length, &terms), given;
        bool sound = feed_answers(stream, length, &terms,
                                  &(struct cuts){sizes, ARRAY_LENGTH(sizes)}, &given);
        assert_true(sound);
        assert_true(answers_equal(&said, &given));
        free(said.bytes);
        free(given.bytes);
    }
}
