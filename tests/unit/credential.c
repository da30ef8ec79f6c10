// SPDX-License-Identifier: MIT
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/credential.h"

static struct {
    char directory[64], path[128];
    struct token token;
    char error[256];
} file;

static int begin(void **state)
{
    (void)state;
    snprintf(file.directory, sizeof file.directory, "/tmp/unit-credential-XXXXXX");
    if (!mkdtemp(file.directory))
        return -1;
    snprintf(file.path, sizeof file.path, "%s/shutdown-token", file.directory);
    file.token = (struct token){.length = 1, .bytes = "x"};
    return unsetenv("CREDENTIALS_DIRECTORY");
}

static int end(void **state)
{
    (void)state;
    unlink(file.path);
    rmdir(file.path);
    return rmdir(file.directory);
}

static void put(const char *content, size_t length, mode_t mode)
{
    int fd = open(file.path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0); // whatever the umask is
    assert_int_equal(write(fd, content, length), length);
    close(fd);
}

static bool load(const char *path)
{
    struct text error = text_in(file.error, sizeof file.error);
    bool loaded = credential_load(path, &file.token, &error);

    text_end(&error);
    assert_int_equal(loaded, error.length == 0);
    return loaded;
}

static void expect_problem(const char *path, const char *problem)
{
    char error[256];

    snprintf(error, sizeof error, "%s: %s", file.path, problem);
    assert_false(load(path));
    assert_string_equal(file.error, error);
    assert_bytes(file.token.bytes, file.token.length, "x"); // as it was
}

static void a_named_file_holds_the_token(void **state)
{
    (void)state;
    put("sesame\n", 7, 0600);
    assert_true(load(file.path));
    assert_bytes(file.token.bytes, file.token.length, "sesame");
}

static void without_a_file_there_is_no_token(void **state)
{
    (void)state;
    assert_true(load(NULL));
    assert_int_equal(file.token.length, 0);
    setenv("CREDENTIALS_DIRECTORY", "", 1);
    assert_true(load(NULL));
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1); // with other credentials in it
    file.token.length = 1;
    assert_true(load(NULL));
    assert_int_equal(file.token.length, 0);
}

static void the_credentials_directory_holds_the_token(void **state)
{
    (void)state;
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1);
    put("sesame", 6, 0444); // access is systemd's business there
    assert_true(load(NULL));
    assert_bytes(file.token.bytes, file.token.length, "sesame");
    assert_true(load(file.path)); // the same place, named
}

static void a_slash_after_the_directorys_name_does_not_matter(void **state)
{
    char directory[80];

    (void)state;
    put("sesame", 6, 0444);
    snprintf(directory, sizeof directory, "%s//", file.directory);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    assert_true(load(NULL));
    assert_bytes(file.token.bytes, file.token.length, "sesame");
    assert_true(load(file.path));
}

static void a_path_out_of_the_directory_is_not_inside(void **state)
{
    char path[2048];

    (void)state;
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1);
    put("sesame", 6, 0444);
    snprintf(path, sizeof path, "%s/..%s", file.directory, strrchr(file.path, '/'));
    assert_false(load(path));
    snprintf(path, sizeof path, "%s/../%s", file.directory, file.path + strlen("/tmp/"));
    assert_false(load(path));
    assert_non_null(strstr(file.error, "can be read by others"));
}

static void a_file_beside_the_directory_is_not_inside(void **state)
{
    char name[sizeof file.path];

    (void)state;
    put("sesame", 6, 0444);
    setenv("CREDENTIALS_DIRECTORY", "", 1);
    expect_problem(file.path, "can be read by others");
    setenv("CREDENTIALS_DIRECTORY", "/elsewhere", 1);
    expect_problem(file.path, "can be read by others");
    // The directory's name is where the path begins, but not the name of a directory in it.
    snprintf(name, sizeof name, "%.*s", (int)strlen(file.path) - 1, file.path);
    setenv("CREDENTIALS_DIRECTORY", name, 1);
    expect_problem(file.path, "can be read by others");
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    expect_problem(file.path, "No such file or directory");
    put("", 0, 0600);
    expect_problem(file.path, "is empty");
    put("a\nb\n", 4, 0600);
    expect_problem(file.path, "has more than one line");
}

#define OTHERS "can be read by others"
#define GROUP "can be read by a group, and belongs to the user the server runs as"

static void who_may_read_the_file_depends_on_whose_it_is(void **state)
{
    static const struct {
        mode_t mode;
        const char *own, *foreign; // NULL: it is accepted
    } row[] = {
        {0400, NULL, NULL},     {0600, NULL, NULL},     {0700, NULL, NULL},
        {0440, GROUP, NULL},    {0640, GROUP, NULL},    {0404, OTHERS, OTHERS},
        {0444, OTHERS, OTHERS}, {0644, OTHERS, OTHERS}, {0422, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof row / sizeof row[0]; i++) {
        bool foreign = i % 2;
        const char *problem = foreign ? row[i / 2].foreign : row[i / 2].own;

        unlink(file.path);
        put("sesame", 6, row[i / 2].mode);
        // Only root can give files away, and read them then.
        if (foreign && chown(file.path, 1, 1) < 0)
            continue;
        file.token = (struct token){.length = 1, .bytes = "x"};
        if (problem)
            expect_problem(file.path, problem);
        else
            assert_true(load(file.path));
    }
}

static void an_empty_file_in_the_directory_is_an_error_too(void **state)
{
    (void)state;
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1);
    put("", 0, 0400);
    expect_problem(NULL, "is empty");
}

static void only_a_regular_file_is_read(void **state)
{
    (void)state;
    assert_int_equal(mkdir(file.path, 0700), 0);
    expect_problem(file.path, "is not a regular file");
    assert_int_equal(rmdir(file.path), 0);
    assert_int_equal(mkfifo(file.path, 0600), 0); // and nobody waits for its writer
    expect_problem(file.path, "is not a regular file");
}

static void a_token_has_a_longest(void **state)
{
    static char content[TOKEN_MAX_BYTES + 100];

    (void)state;
    memset(content, 'a', sizeof content);
    content[TOKEN_MAX_BYTES] = '\n';
    put(content, TOKEN_MAX_BYTES + 1, 0600);
    assert_true(load(file.path));
    assert_int_equal(file.token.length, TOKEN_MAX_BYTES);
    file.token = (struct token){.length = 1, .bytes = "x"};
    put(content, TOKEN_MAX_BYTES + 2, 0600);
    expect_problem(file.path, "is longer than 1024 bytes");
    put(content, sizeof content, 0600);
    expect_problem(file.path, "is longer than 1024 bytes");
}

static void a_directory_too_long_is_an_error(void **state)
{
    static char directory[5000];

    (void)state;
    memset(directory, 'x', sizeof directory - 1);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    assert_false(load(NULL));
    assert_string_equal(file.error, "CREDENTIALS_DIRECTORY is too long");
}

static void no_descriptor_is_left_open(void **state)
{
    int next = dup(STDERR_FILENO);

    (void)state;
    close(next);
    put("sesame", 6, 0600);
    load(file.path);
    put("", 0, 0644);
    load(file.path);
    assert_int_equal(dup(STDERR_FILENO), next);
    close(next);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_named_file_holds_the_token),
        test(without_a_file_there_is_no_token),
        test(the_credentials_directory_holds_the_token),
        test(a_slash_after_the_directorys_name_does_not_matter),
        test(a_path_out_of_the_directory_is_not_inside),
        test(a_file_beside_the_directory_is_not_inside),
        test(what_cannot_be_read_is_named),
        test(who_may_read_the_file_depends_on_whose_it_is),
        test(an_empty_file_in_the_directory_is_an_error_too),
        test(only_a_regular_file_is_read),
        test(a_token_has_a_longest),
        test(a_directory_too_long_is_an_error),
        test(no_descriptor_is_left_open),
    };

    return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
