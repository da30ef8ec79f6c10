// SPDX-License-Identifier: MIT
// The reading of a command line, by tables of this test's own.
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/argument.h"

struct values {
    bool flag, stop;
    unsigned number;
    const char *path;
};

static const struct argument_row rows[] = {
    {"flag", 0, argument_flag, offsetof(struct values, flag), 0, 0, NULL, "a flag"},
    {"number", 'n', argument_unsigned, offsetof(struct values, number), 0, 99, "N", "a number"},
    {"path", 'p', argument_path, offsetof(struct values, path), 0, 0, "PATH", "a path"},
    {"stop", 's', argument_last, offsetof(struct values, stop), 0, 0, NULL, "the last"},
};

enum { ROWS = ARRAY_LENGTH(rows), WORDS_MAX = 8 };

static struct {
    struct values values;
    char error[256];
    char words[WORDS_MAX][64];
    char *argv[WORDS_MAX + 1];
} parsed;

// Reads the words, ended by NULL, by the first COUNT rows.
static int read_by(size_t count, const char *const *word)
{
    struct text error = text_in(parsed.error, sizeof parsed.error);
    int argc = 1;

    parsed.values = (struct values){.number = 7};
    parsed.argv[0] = strcpy(parsed.words[0], "program");
    for (; word[argc - 1]; argc++) {
        assert_true(argc < WORDS_MAX && strlen(word[argc - 1]) < sizeof parsed.words[0]);
        parsed.argv[argc] = strcpy(parsed.words[argc], word[argc - 1]);
    }
    parsed.argv[argc] = NULL;
    int end = argument_read(rows, count, &parsed.values, argc, parsed.argv, &error);
    text_end(&error);
    return end;
}

#define READ(...) read_by(ROWS, (const char *const[]){__VA_ARGS__, NULL})

TEST(values_go_where_their_rows_say)
{
    assert_int_equal(READ("--number=42", "--flag", "-p", "/x"), 5);
    assert_true(parsed.values.flag);
    assert_false(parsed.values.stop);
    assert_int_equal(parsed.values.number, 42);
    assert_string_equal(parsed.values.path, "/x");
}

TEST(reading_ends_before_what_is_no_option_and_after_the_last)
{
    assert_int_equal(READ("word", "-n", "1"), 3);
    assert_string_equal(parsed.argv[3], "word");
    assert_int_equal(parsed.values.number, 1);
    assert_int_equal(READ("--stop", "--other", "word"), 4);
    assert_true(parsed.values.stop);
    assert_int_equal(READ("-s", "-n"), 3);
    assert_string_equal(parsed.error, "");
}

TEST(no_value_is_no_number)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "100",
                                        "990",
                                        "1000",
                                        "99x",
                                        " 1",
                                        "\t1",
                                        "/",
                                        ":",
                                        "-1",
                                        "+1",
                                        "x1",
                                        "0x10",
                                        "1.0",
                                        "1e3",
                                        "4294967296",
                                        "4294967297",
                                        "18446744073709551616",
                                        "18446744073709551617",
                                        "99999999999999999999999999999999"};

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        char error[128];

        snprintf(error, sizeof error, "--number: '%s' is not a number from 0 to 99", wrong[i]);
        assert_int_equal(READ("-n", wrong[i]), -1);
        assert_string_equal(parsed.error, error);
        assert_int_equal(parsed.values.number, 7); // as it was
    }
    assert_int_equal(READ("-n", "00000000000000000000099"), 3);
    assert_int_equal(parsed.values.number, 99);
    assert_int_equal(READ("-n", "0"), 3);
    assert_int_equal(parsed.values.number, 0);
}

TEST(what_is_wrong_is_named)
{
    static const char *const row[][2] = {
        {"--flag=x", "--flag takes no value"},
        {"--stop=x", "--stop takes no value"},
        {"-\x01", "unknown option '-\x01'"},
        {"-f", "unknown option '-f'"}, // a row without a letter
        {"--x", "unknown or ambiguous option '--x'"},
        {"-p", "'-p' needs a value"},
        {"--path=", "--path: the value is empty"},
        {"-?", "unknown option '-?'"},
        {"-:", "unknown option '-:'"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        assert_int_equal(READ(row[i][0]), -1);
        assert_string_equal(parsed.error, row[i][1]);
    }
}

// A table's rows are its own: none of those behind it, none of one that was read before.
TEST(no_other_tables_rows_are_known)
{
    assert_int_equal(READ("-s"), 2);
    for (size_t count = 0; count < ROWS; count++) {
        const char letter[] = {'-', rows[count].letter ? rows[count].letter : 'f', '\0'};
        char name[64];

        snprintf(name, sizeof name, "--%s", rows[count].name);
        assert_int_equal(read_by(count, (const char *const[]){letter, NULL}), -1);
        assert_non_null(strstr(parsed.error, "unknown option"));
        assert_int_equal(read_by(count, (const char *const[]){name, NULL}), -1);
        assert_non_null(strstr(parsed.error, "unknown or ambiguous option"));
    }
}

// getopt(3) would name what is wrong there itself.
TEST(nothing_is_said_on_standard_error)
{
    char said[64];
    int pair[2], real = dup(STDERR_FILENO);

    assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
    dup2(pair[1], STDERR_FILENO);
    int end = READ("--other");
    ssize_t got = read(pair[0], said, sizeof said);
    dup2(real, STDERR_FILENO);
    close(real);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(end, -1);
    assert_int_equal(got, -1);
}

TEST(help_is_a_line_for_each_row)
{
    char room[512];
    struct text help = text_in(room, sizeof room);

    argument_help(rows, ROWS, 12, &help);
    assert_string_equal(text_end(&help), "      --flag       a flag\n"
                                         "  -n, --number=N   a number\n"
                                         "  -p, --path=PATH  a path\n"
                                         "  -s, --stop       the last\n");
}
