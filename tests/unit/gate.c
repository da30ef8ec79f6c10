// SPDX-License-Identifier: MIT
#include "unit.h"

#include "core/gate.h"

enum { MINUTE = 60 * TICKS_PER_SECOND, GUESSES = 5 };

static struct gate with_token(const char *token)
{
    struct gate gate = {.passed = false};

    assert_null(token_take(&gate.token, token, strlen(token)));
    return gate;
}

static enum gate_answer knock(struct gate *gate, const char *guess, ticks now)
{
    return gate_knock(gate, guess, strlen(guess), true, now);
}

TEST(a_file_of_one_line_is_a_token)
{
    struct token token;

    assert_null(token_take(&token, "sesame\n", 7));
    assert_bytes(token.bytes, token.length, "sesame");
    assert_null(token_take(&token, "open sesame", 11));
    assert_bytes(token.bytes, token.length, "open sesame");
    assert_null(token_take(&token, "a\0b", 3));
    assert_int_equal(token.length, 3);
    assert_memory_equal(token.bytes, "a\0b", 3);
    assert_null(token_take(&token, "\0a", 2)); // a NUL is no white space
}

TEST(what_cannot_be_a_token_is_refused)
{
    static const struct {
        const char *content;
        const char *problem;
    } row[] = {
        {"", "is empty"},
        {"\n", "is empty"},
        {"a\nb", "has more than one line"},
        {"a\n\n", "has more than one line"},
        {"\n\n", "has more than one line"},
        {" a", "begins or ends with white space"},
        {"\ta", "begins or ends with white space"},
        {"\va", "begins or ends with white space"},
        {"\fa", "begins or ends with white space"},
        {"\ra", "begins or ends with white space"},
        {"a\r\n", "begins or ends with white space"},
        {"a\r", "begins or ends with white space"},
    };
    struct token token = {.length = 1, .bytes = "x"};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++)
        assert_string_equal(token_take(&token, row[i].content, strlen(row[i].content)),
                            row[i].problem);
    assert_bytes(token.bytes, token.length, "x"); // and the one before is kept
}

TEST(a_token_has_a_longest)
{
    char content[1026];
    struct gate gate = {.passed = false};

    memset(content, 'a', sizeof content);
    assert_non_null(token_take(&gate.token, content, 1024 + 1));
    content[1024] = '\n';
    assert_null(token_take(&gate.token, content, 1024 + 1));
    assert_int_equal(gate.token.length, 1024);
    content[1024] = 'a';
    // Right as far as there is room to compare, and longer.
    assert_int_equal(gate_knock(&gate, content, 1024 + 1, true, 0), GATE_TOKEN_INVALID);
    assert_int_equal(gate_knock(&gate, content, 1024 - 1, true, 0), GATE_TOKEN_INVALID);
    assert_int_equal(gate_knock(&gate, content, 1024, true, 0), GATE_PASSED);
}

TEST(only_the_right_token_from_loopback_passes)
{
    static const struct {
        const char *token, *guess;
        bool elsewhere;
        enum gate_answer answer;
    } row[] = {
        {"sesame", "sesame", false, GATE_PASSED},
        {"sesame", "s", false, GATE_TOKEN_INVALID},
        {"sesame", "sesam", false, GATE_TOKEN_INVALID},
        {"sesame", "sesamf", false, GATE_TOKEN_INVALID},
        {"sesame", "sesame ", false, GATE_TOKEN_INVALID},
        {"sesame", "Sesame", false, GATE_TOKEN_INVALID},
        {"sesame", "sesamesesame", false, GATE_TOKEN_INVALID},
        {"sesame", "sesame", true, GATE_LOOPBACK_REQUIRED},
        {"sesame", "other", true, GATE_TOKEN_INVALID},
        {"sesame", "", false, GATE_TOKEN_REQUIRED},
        {NULL, "", false, GATE_TOKEN_REQUIRED},
        {NULL, "sesame", false, GATE_TOKEN_MISSING},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        struct gate gate = {.passed = false};

        if (row[i].token)
            gate = with_token(row[i].token);
        assert_int_equal(
            gate_knock(&gate, row[i].guess, strlen(row[i].guess), !row[i].elsewhere, 0),
            row[i].answer);
        assert_int_equal(gate.passed, row[i].answer == GATE_PASSED);
    }
}

TEST(a_nul_is_a_byte_like_any_other)
{
    struct gate gate = with_token("sesame");

    assert_int_equal(gate_knock(&gate, "sesame\0", 7, true, 0), GATE_TOKEN_INVALID);
    assert_int_equal(gate_knock(&gate, "sesame\0", 6, true, 0), GATE_PASSED);
}

TEST(five_wrong_guesses_close_the_gate_for_a_minute)
{
    struct gate gate = with_token("sesame");

    for (ticks now = 0; now < GUESSES; now++)
        assert_int_equal(knock(&gate, "wrong", now), GATE_TOKEN_INVALID);
    assert_int_equal(knock(&gate, "wrong", GUESSES), GATE_THROTTLED);
    assert_int_equal(knock(&gate, "sesame", MINUTE), GATE_THROTTLED); // unexamined
    assert_false(gate.passed);
    // The first of the five is more than a minute ago now, so one more may be made, and only one.
    assert_int_equal(knock(&gate, "wrong", MINUTE + 1), GATE_TOKEN_INVALID);
    assert_int_equal(knock(&gate, "sesame", MINUTE + 1), GATE_THROTTLED);
    assert_int_equal(knock(&gate, "sesame", MINUTE + 2), GATE_PASSED);
}

TEST(no_minute_has_more_than_five_wrong_guesses)
{
    struct chance chance = chance_start(1);
    struct gate gate = with_token("sesame");
    ticks now = 0, examined[10000] = {0};
    size_t count = 0;

    for (int i = 0; i < 10000; i++) {
        now += (ticks)chance_below(&chance, 60);
        enum gate_answer answer = knock(&gate, "wrong", now);

        // Five in the minute before, or not: the history tells.
        bool closed = count >= GUESSES && now - examined[count - GUESSES] <= MINUTE;
        assert_int_equal(answer, closed ? GATE_THROTTLED : GATE_TOKEN_INVALID);
        if (answer == GATE_TOKEN_INVALID)
            examined[count++] = now;
    }
}
