// SPDX-License-Identifier: MIT
#include "unit.h"

#include "feed.h"
#include "roles/role.h"

static struct facts facts;
static struct gate gate;

BEFORE_EACH
{
    facts = (struct facts){.time = {1795226463, 5}, .now = 1000, .gate = &gate};
    gate = (struct gate){.passed = false};
    assert_true(address_parse("127.0.0.1", &facts.peer) && address_parse("::1", &facts.local));
    assert_null(token_take(&gate.token, "sesame", 6));
}

static const struct cuts whole = {&(size_t){SIZE_MAX}, 1};

#define LONG LINES_TOO_LONG
#define UNKNOWN LINES_UNKNOWN

static const struct {
    size_t max_line;
    const char *stream, *answers;
    bool closed;
} answered[] = {
    // Lines come back as they are.
    {4096, "a\r\nb\n", "a\r\nb\n", false},
    {4096, "\n\n\n", "\n\n\n", false},
    {4096, "a/b\n /c\n", "a/b\n /c\n", false},
    // An unterminated last one is answered at the end.
    {4096, "a\nb", "a\nb", false},
    {4096, "a\n/x", "a\n" UNKNOWN, false},
    {1, "/", UNKNOWN, false},
    {4096, "", "", false},
    // Commands stand in line.
    {4096, "a\n/x\nb\n/y\n/z\nc", "a\n" UNKNOWN "b\n" UNKNOWN UNKNOWN "c", false},
    // One byte too long is an error.
    {4, "abcd\n", "abcd\n", false},
    {4, "abcde\n", LONG, false},
    {4, "/bcd\n", UNKNOWN, false},
    {4, "/bcde\n", LONG, false},
    {4, "abcde\nok\nx", LONG "ok\nx", false},
    {4, "abcdeabcde\n/x\nx", LONG UNKNOWN "x", false},
    {4, "abcde", LONG, false},
    {4, "abcdeabcdeabcdeabcde\n", LONG, false}, // however long
    // The second in a row is the last.
    {4, "abcde\nabcde\nok\n", LONG LONG, true},
    {4, "abcde\nok\nabcde\nok\n", LONG "ok\n" LONG "ok\n", false},
    {4, "abcde\n\nabcde\n", LONG "\n" LONG, false},
    {4, "abcde\n/x\nabcde\n", LONG UNKNOWN LONG, false},
};

TEST(streams_are_answered_line_by_line)
{
    for (size_t i = 0; i < ARRAY_LENGTH(answered); i++) {
        struct terms terms = {.max_line = answered[i].max_line, .facts = &facts};
        struct answers answers;

        assert_true(
            feed_answers(answered[i].stream, strlen(answered[i].stream), &terms, &whole, &answers));
        assert_bytes(answers.bytes, answers.length, answered[i].answers);
        assert_int_equal(answers.closed, answered[i].closed);
        free(answers.bytes);
    }
}

static char buffer[65536 + TURN_TEXTS_MAX * TURN_TEXT_MAX_BYTES];
static struct memory memory;

static struct turn turn_of(const char *bytes, size_t length, size_t max_line)
{
    memory = (struct memory){.discarding = false};
    return (struct turn){.input = bytes,
                         .length = length,
                         .max_line = max_line,
                         .facts = &facts,
                         .reply.buffer = buffer};
}

// In pieces of 64 bytes and one by one, and the unfinished one is none.
TEST(lines_are_counted)
{
    char lines[201];

    for (size_t i = 0; i < 100; i++)
        memcpy(lines + 2 * i, "a\n", 2);
    lines[200] = 'b';
    for (size_t count = 0; count <= 100; count++) {
        struct turn turn = turn_of(lines, 2 * count + (count == 100), 4096);

        role_echo.stream(&memory, &turn);
        assert_int_equal(turn.messages, count);
    }
}

TEST(a_line_is_answered_at_its_end_and_an_overlong_one_before)
{
    struct turn turn = turn_of("a\n/stats", 8, 4096);

    assert_int_equal(role_echo.stream(&memory, &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "a\n");
    assert_int_equal(turn.done, 2);
    turn = turn_of("abcde", 5, 4);
    assert_int_equal(role_echo.stream(&memory, &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, LONG);
    assert_true(memory.discarding);
    assert_int_equal(turn.done, turn.length); // and nothing of it is kept
}

// Where the line begins that a client has begun: it is not timed anew by what follows of it.
TEST(it_is_said_where_the_unfinished_line_begins)
{
    static const struct {
        const char *before, *bytes;
        size_t begun;
    } row[] = {
        {"", "", NOTHING_BEGUN},
        {"", "a\n", NOTHING_BEGUN},
        {"", "ab", 0},
        {"", "a\nb", 2},
        {"", "abcdef", 0},
        {"", "a\nabcdef", 2},
        {"abcdef", "gh", 0},
        {"abcdef", "g\n", NOTHING_BEGUN},
        {"abcdef", "", 0},
        {"abcdef", "g\nh", 2},
        {"abcdef", "g\nabcdef", 2},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct turn turn = turn_of(row[i].before, strlen(row[i].before), 4);

        role_echo.stream(&memory, &turn);
        turn.input = row[i].bytes;
        turn.length = strlen(row[i].bytes);
        turn.done = 0;
        turn.begun = 77; // of another turn
        role_echo.stream(&memory, &turn);
        assert_int_equal(turn.begun, row[i].begun);
    }
}

TEST(echoes_are_not_copied)
{
    static const char bytes[] = "a\nbc\nd/e\n\nunfinished";
    struct turn turn = turn_of(bytes, sizeof bytes - 1, 4096);

    turn.reply.buffer = NULL;
    assert_int_equal(role_echo.stream(&memory, &turn), TURN_MORE);
    assert_ptr_equal(turn.reply.bytes, bytes);
    assert_int_equal(turn.reply.length, 10);
    assert_int_equal(turn.reply.texts, 0);
}

TEST(facts_are_asked_for_only_by_a_command)
{
    struct turn turn = turn_of("a\n/x\n", 5, 9);

    turn.facts = NULL;
    assert_int_equal(role_echo.stream(&memory, &turn), TURN_FACTS);
    assert_int_equal(turn.done, 2);
    turn.facts = &facts;
    assert_int_equal(role_echo.stream(&memory, &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "a\n" UNKNOWN);
    turn = turn_of("a\nb", 3, 9);
    turn.facts = NULL;
    turn.ended = true;
    assert_int_equal(role_echo.stream(&memory, &turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "a\nb");
}

TEST(a_turn_has_so_many_texts)
{
    enum { MANY = 2 * TURN_TEXTS_MAX + 1 };
    static char bytes[2 * MANY];
    enum outcome outcome = TURN_AGAIN;
    size_t done = 0;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = "/\n"[i % 2];
    for (size_t i = 0; i < 3; i++) {
        struct turn turn = turn_of(bytes + done, sizeof bytes - done, 9);

        assert_int_equal(outcome, TURN_AGAIN);
        outcome = role_echo.stream(&memory, &turn);
        assert_int_equal(turn.reply.texts, i < 2 ? TURN_TEXTS_MAX : 1);
        assert_int_equal(turn.reply.length, turn.reply.texts * strlen(UNKNOWN));
        done += turn.done;
    }
    assert_int_equal(outcome, TURN_MORE);
    assert_int_equal(done, sizeof bytes);
}

TEST(a_datagram_is_one_message)
{
    struct turn turn = turn_of("a\n/x\nb", 6, 0);

    turn.facts = NULL;
    assert_int_equal(role_echo.datagram(&turn), TURN_MORE);
    assert_ptr_equal(turn.reply.bytes, turn.input);
    assert_int_equal(turn.reply.length, 6);
    assert_int_equal(turn.done, 6);
    assert_int_equal(turn.begun, NOTHING_BEGUN);
    turn = turn_of("/x\nb", 4, 0);
    turn.facts = NULL;
    assert_int_equal(role_echo.datagram(&turn), TURN_FACTS);
    turn.facts = &facts;
    assert_int_equal(role_echo.datagram(&turn), TURN_MORE);
    assert_bytes(turn.reply.bytes, turn.reply.length, UNKNOWN);
    turn = turn_of("", 0, 0);
    assert_int_equal(role_echo.datagram(&turn), TURN_MORE);
    assert_int_equal(turn.reply.length, 0);
}

TEST(what_ends_nothing_pends)
{
    assert_true(role_echo.pends("ab", 2, 2, 4));
    assert_false(role_echo.pends("ab", 2, 3, 4));
    assert_false(role_echo.pends("a\n", 2, 1, 4));
}

// Anything may be said by a client that is turned away: it has not been heard.
TEST(who_is_turned_away_is_told)
{
    struct turn turn = turn_of("a\n", 2, 9);

    assert_int_equal(role_busy.stream(&memory, &turn), TURN_CLOSE);
    assert_bytes(turn.reply.bytes, turn.reply.length, "Server Busy\n");
    assert_int_equal(turn.done, turn.length);
    assert_int_equal(turn.begun, NOTHING_BEGUN);
}

TEST(raw_and_discard_take_all_there_is)
{
    const struct role *const role[] = {&role_raw, &role_discard};

    for (size_t i = 0; i < ARRAY_LENGTH(role); i++) {
        struct turn turn = turn_of("a\nERR b", 7, 1), datagram = turn_of("/x", 2, 1);

        turn.begun = 77;
        assert_int_equal(role[i]->stream(&memory, &turn), TURN_MORE);
        assert_int_equal(turn.done, 7);
        assert_int_equal(turn.begun, NOTHING_BEGUN);
        assert_bytes(turn.reply.bytes, turn.reply.length, i == 0 ? "a\nERR b" : "");
        assert_int_equal(role[i]->datagram(&datagram), i == 0 ? TURN_MORE : TURN_SILENT);
        assert_int_equal(datagram.done, 2);
        assert_bytes(datagram.reply.bytes, datagram.reply.length, i == 0 ? "/x" : "");
    }
}

TEST(a_role_is_found_by_its_whole_name)
{
    assert_ptr_equal(duty_find("echo", 4).role, &role_echo);
    assert_false(duty_find("echo", 4).proxy);
    assert_ptr_equal(duty_find("raw+proxy", 9).role, &role_raw);
    assert_true(duty_find("raw+proxy", 9).proxy);
    assert_null(duty_find("echo", 3).role);
    assert_null(duty_find("echoes", 6).role);
    assert_null(duty_find("+proxy", 6).role);
    assert_null(duty_find("busy", 4).role); // no port has it
}

// The two properties: any cuts give what the model says.

static void check(const char *stream, size_t length, size_t max_line, const struct cuts *cuts)
{
    struct gate of_model = gate, of_feed = gate;
    struct facts for_model = facts, for_feed = facts;
    struct terms model = {.max_line = max_line, .facts = &for_model};
    struct terms feed = {.max_line = max_line, .facts = &for_feed};

    for_model.gate = &of_model;
    for_feed.gate = &of_feed;
    struct answers said = model_answers(stream, length, &model), given;
    bool sound = feed_answers(stream, length, &feed, cuts, &given);

    assert_true(sound);
    assert_true(answers_equal(&said, &given));
    assert_memory_equal(&of_model, &of_feed, sizeof of_feed);
    free(said.bytes);
    free(given.bytes);
}

// A bit for each place between two bytes.
static void check_every_cut(const char *stream, unsigned length, size_t max_line)
{
    unsigned places = length > 0 ? length - 1 : 0;

    for (unsigned bits = 0; bits >> places == 0; bits++) {
        size_t sizes[8] = {1};
        struct cuts cuts = {sizes, 1};

        for (unsigned place = 0; place < places; place++)
            if (bits >> place & 1)
                sizes[cuts.count++] = 1;
            else
                sizes[cuts.count - 1]++;
        check(stream, length, max_line, &cuts);
    }
}

TEST(every_short_stream_in_every_cut_is_answered_as_the_model_says)
{
    enum { LONGEST = 6, LETTERS = 3 };
    unsigned count = 1;

    for (unsigned length = 0; length <= LONGEST; length++, count *= LETTERS) {
        for (unsigned number = 0; number < count; number++) {
            char stream[LONGEST];

            for (unsigned at = 0, left = number; at < length; at++, left /= LETTERS)
                stream[at] = "/a\n"[left % LETTERS];
            for (size_t max_line = 1; max_line <= 3; max_line++)
                check_every_cut(stream, length, max_line);
        }
    }
}

static struct text *add_some(struct text *stream, struct chance *chance, const char *letters,
                             size_t kinds, size_t length)
{
    for (; length > 0; length--)
        text_bytes(stream, &letters[chance_below(chance, kinds)], 1);
    return stream;
}

static void add_command(struct text *stream, struct chance *chance)
{
    static const char *const command[] = {
        "/stats", "/time", "/whoami",          "/help",           "/shutdown",
        "/",      "/x",    "/shutdown sesame", "/shutdown other", "/stats x /time",
    };
    static const char *const end[] = {"\n", "\r\n", " \n", "\r\r\n"};

    text_string(stream, command[chance_below(chance, ARRAY_LENGTH(command))]);
    text_string(stream, end[chance_below(chance, ARRAY_LENGTH(end))]);
}

// A piece of what makes streams hard: lines of just the longest length and beyond, commands,
// slashes, NULs and CRs anywhere, empty lines.
static void add_piece(struct text *stream, struct chance *chance, size_t max_line)
{
    static const char hard[] = "/\0\r\n a";
    char any = (char)chance_below(chance, 256);

    switch (chance_below(chance, 7)) {
    case 0:
        add_command(stream, chance);
        break;
    case 1:
        text_string(add_some(stream, chance, "ab/ \r", 5, max_line - chance_below(chance, 2)),
                    "\n");
        break;
    case 2:
        text_string(add_some(stream, chance, "ab/", 3, max_line + 1 + chance_below(chance, 9)),
                    "\n");
        break;
    case 3:
        text_string(add_some(stream, chance, "ab", 2, 2 * max_line + chance_below(chance, 99)),
                    "\n");
        break;
    case 4:
        add_some(stream, chance, hard, sizeof hard - 1, chance_below(chance, 30));
        break;
    case 5:
        text_string(add_some(stream, chance, "cd", 2, chance_below(chance, 12)), "\n");
        break;
    default:
        text_bytes(stream, &any, 1);
    }
}

TEST(random_streams_in_random_cuts_are_answered_as_the_model_says)
{
    static const size_t limits[] = {1, 2, 3, 7, 16, 64, 300, 4096};
    static const size_t most[] = {1, 2, 5, 40, 500, 65536};
    static char room[60000];
    struct chance chance = chance_start(3);

    for (int i = 0; i < 2500; i++) {
        size_t max_line = limits[chance_below(&chance, ARRAY_LENGTH(limits))];
        size_t sizes[100], longest = most[chance_below(&chance, ARRAY_LENGTH(most))];
        struct cuts cuts = {sizes, ARRAY_LENGTH(sizes)};
        struct text stream = text_in(room, chance_below(&chance, 8) ? 2000 : sizeof room);
        size_t pieces = chance_below(&chance, chance_below(&chance, 50) ? 20 : 1500);

        for (size_t at = 0; at < ARRAY_LENGTH(sizes); at++)
            sizes[at] = 1 + chance_below(&chance, longest);
        for (; pieces > 0; pieces--)
            add_piece(&stream, &chance, max_line);
        check(stream.bytes, stream.length, max_line, &cuts);
        check(stream.bytes, stream.length, max_line, &whole);
    }
}
