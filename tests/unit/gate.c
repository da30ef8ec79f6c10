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

static void a_file_of_one_line_is_a_token(void **state)
{
    struct token token;

    (void)state;
    assert_null(token_take(&token, "sesame\n", 7));
    assert_bytes(token.bytes, token.length, "sesame");
    assert_null(token_take(&token, "open sesame", 11));
    assert_bytes(token.bytes, token.length, "open sesame");
    assert_null(token_take(&token, "a\0b", 3));
    assert_int_equal(token.length, 3);
    assert_memory_equal(token.bytes, "a\0b", 3);
    assert_null(token_take(&token, "\0a", 2)); // a NUL is no white space
}

static void what_cannot_be_a_token_is_refused(void **state)
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

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        assert_string_equal(token_take(&token, row[i].content, strlen(row[i].content)),
                            row[i].problem);
    assert_bytes(token.bytes, token.length, "x"); // and the one before is kept
}

static void a_token_has_a_longest(void **state)
{
    char content[1026];
    struct gate gate = {.passed = false};

    (void)state;
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

static void the_right_token_passes(void **state)
{
    struct gate gate = with_token("sesame");

    (void)state;
    assert_int_equal(knock(&gate, "sesame", 0), GATE_PASSED);
    assert_true(gate.passed);
}

static void anything_else_does_not(void **state)
{
    static const char *const wrong[] = {"s",       "sesam",  "sesamf",
                                        "sesame ", "Sesame", "sesamesesame"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct gate gate = with_token("sesame");

        assert_int_equal(knock(&gate, wrong[i], 0), GATE_TOKEN_INVALID);
        assert_false(gate.passed);
    }
}

static void a_nul_is_a_byte_like_any_other(void **state)
{
    struct gate gate = with_token("sesame");

    (void)state;
    assert_int_equal(gate_knock(&gate, "sesame\0", 7, true, 0), GATE_TOKEN_INVALID);
    assert_int_equal(gate_knock(&gate, "sesame\0", 6, true, 0), GATE_PASSED);
}

static void the_right_token_from_elsewhere_does_not_pass(void **state)
{
    struct gate gate = with_token("sesame");

    (void)state;
    assert_int_equal(gate_knock(&gate, "sesame", 6, false, 0), GATE_LOOPBACK_REQUIRED);
    assert_int_equal(gate_knock(&gate, "other", 5, false, 0), GATE_TOKEN_INVALID);
    assert_false(gate.passed);
}

static void a_guess_and_a_token_are_needed(void **state)
{
    struct gate none = {.passed = false};
    struct gate gate = with_token("sesame");

    (void)state;
    assert_int_equal(knock(&none, "", 0), GATE_TOKEN_REQUIRED);
    assert_int_equal(knock(&none, "sesame", 0), GATE_TOKEN_MISSING);
    assert_int_equal(knock(&gate, "", 0), GATE_TOKEN_REQUIRED);
    assert_false(none.passed || gate.passed);
}

static void five_wrong_guesses_close_the_gate_for_a_minute(void **state)
{
    struct gate gate = with_token("sesame");

    (void)state;
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

static void throttled_guesses_do_not_prolong_the_minute(void **state)
{
    struct gate gate = with_token("sesame");

    (void)state;
    for (int i = 0; i < GUESSES; i++)
        knock(&gate, "wrong", 0);
    for (ticks now = 1; now <= MINUTE; now++)
        assert_int_equal(knock(&gate, "wrong", now), GATE_THROTTLED);
    assert_int_equal(knock(&gate, "sesame", MINUTE + 1), GATE_PASSED);
}

static void no_minute_has_more_than_five_wrong_guesses(void **state)
{
    struct chance chance = chance_start(1);
    struct gate gate = with_token("sesame");
    ticks now = 0, examined[10000] = {0};
    size_t count = 0;

    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_one_line_is_a_token),
        cmocka_unit_test(what_cannot_be_a_token_is_refused),
        cmocka_unit_test(a_token_has_a_longest),
        cmocka_unit_test(the_right_token_passes),
        cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(a_nul_is_a_byte_like_any_other),
        cmocka_unit_test(the_right_token_from_elsewhere_does_not_pass),
        cmocka_unit_test(a_guess_and_a_token_are_needed),
        cmocka_unit_test(five_wrong_guesses_close_the_gate_for_a_minute),
        cmocka_unit_test(throttled_guesses_do_not_prolong_the_minute),
        cmocka_unit_test(no_minute_has_more_than_five_wrong_guesses),
    };

    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
