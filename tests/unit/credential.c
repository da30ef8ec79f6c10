// SPDX-License-Identifier: MIT
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/credential.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // only the linker calls __wrap_…

void *__real_malloc(size_t size);
void __real_free(void *block);

static struct {
    char directory[64], path[128];
    struct token token;
    char error[256];
    uid_t owner; // as whom the server is to run
    int free;    // the lowest descriptor that is
} file;

BEFORE_EACH
{
    snprintf(file.directory, sizeof file.directory, "/tmp/unit-credential-XXXXXX");
    assert_non_null(mkdtemp(file.directory));
    snprintf(file.path, sizeof file.path, "%s/shutdown-token", file.directory);
    file.token = (struct token){.length = 1, .bytes = "x"};
    file.owner = geteuid();
    unsetenv("CREDENTIALS_DIRECTORY");
    file.free = dup(STDERR_FILENO);
    close(file.free);
}

// And no descriptor is left open.
AFTER_EACH
{
    unlink(file.path);
    rmdir(file.path);
    assert_int_equal(rmdir(file.directory), 0);
    assert_int_equal(dup(STDERR_FILENO), file.free);
    close(file.free);
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
    bool loaded = credential_load(path, file.owner, &file.token, &error);

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

static void expect_token(const char *path)
{
    file.token.length = 0;
    assert_true(load(path));
    assert_bytes(file.token.bytes, file.token.length, "sesame");
}

TEST(a_named_file_or_the_credentials_directory_holds_the_token)
{
    static const char *const end[] = {"", "/", "//"};
    char directory[80];

    put("sesame\n", 7, 0600);
    expect_token(file.path);
    put("sesame", 6, 0444); // access to the directory is systemd's business
    for (size_t i = 0; i < ARRAY_LENGTH(end); i++) {
        snprintf(directory, sizeof directory, "%s%s", file.directory, end[i]);
        setenv("CREDENTIALS_DIRECTORY", directory, 1);
        expect_token(NULL);
        expect_token(file.path); // the same place, named
    }
}

TEST(without_a_file_there_is_no_token)
{
    assert_true(load(NULL));
    assert_int_equal(file.token.length, 0);
    setenv("CREDENTIALS_DIRECTORY", "", 1);
    assert_true(load(NULL));
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1); // with other credentials in it
    file.token.length = 1;
    assert_true(load(NULL));
    assert_int_equal(file.token.length, 0);
}

TEST(a_path_out_of_the_directory_is_not_inside)
{
    char path[2048];

    setenv("CREDENTIALS_DIRECTORY", file.directory, 1);
    put("sesame", 6, 0444);
    snprintf(path, sizeof path, "%s/..%s", file.directory, strrchr(file.path, '/'));
    assert_false(load(path));
    snprintf(path, sizeof path, "%s/../%s", file.directory, file.path + strlen("/tmp/"));
    assert_false(load(path));
    assert_non_null(strstr(file.error, "can be read by others"));
}

TEST(a_file_beside_the_directory_is_not_inside)
{
    char name[sizeof file.path];

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

TEST(who_may_read_the_file_depends_on_whose_it_is)
{
#define OTHERS "can be read by others"
#define GROUP "can be read by a group, and belongs to the user the server runs as"
    static const struct {
        mode_t mode;
        const char *own, *foreign; // NULL: it is accepted
    } row[] = {
        {0400, NULL, NULL},     {0600, NULL, NULL},     {0700, NULL, NULL},
        {0440, GROUP, NULL},    {0640, GROUP, NULL},    {0404, OTHERS, OTHERS},
        {0444, OTHERS, OTHERS}, {0644, OTHERS, OTHERS}, {0422, NULL, NULL},
    };

    for (size_t i = 0; i < 2 * ARRAY_LENGTH(row); i++) {
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
            expect_token(file.path);
    }
}

TEST(whose_the_file_is_counts_for_the_user_to_come)
{
    put("sesame", 6, 0440);
    expect_problem(file.path, GROUP);
    file.owner++;
    expect_token(file.path);
}

TEST(what_cannot_be_read_is_named)
{
    static const char *const row[][2] = {
        {"", "is empty"},
        {"a\nb\n", "has more than one line"},
    };

    expect_problem(file.path, "No such file or directory");
    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        put(row[i][0], strlen(row[i][0]), 0600);
        expect_problem(file.path, row[i][1]);
    }
    setenv("CREDENTIALS_DIRECTORY", file.directory, 1);
    put("", 0, 0400);
    expect_problem(NULL, "is empty");
}

TEST(only_a_regular_file_is_read)
{
    assert_int_equal(mkdir(file.path, 0700), 0);
    expect_problem(file.path, "is not a regular file");
    assert_int_equal(rmdir(file.path), 0);
    assert_int_equal(mkfifo(file.path, 0600), 0); // and nobody waits for its writer
    expect_problem(file.path, "is not a regular file");
}

TEST(a_token_has_a_longest)
{
    static char content[TOKEN_MAX_BYTES + 100];

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

TEST(a_directory_too_long_is_an_error)
{
    static char directory[5000];

    memset(directory, 'x', sizeof directory - 1);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    assert_false(load(NULL));
    assert_string_equal(file.error, "CREDENTIALS_DIRECTORY is too long");
}

TEST(a_path_too_long_is_an_error)
{
    static char path[5000];

    memset(path, 'x', sizeof path - 1);
    assert_false(load(path));
    assert_string_equal(file.error, "--shutdown-token-file is too long");
}

static void *allocated; // the last block, and what has become of it
static bool out_of_memory, wiped;

void *__wrap_malloc(size_t size)
{
    return allocated = out_of_memory ? NULL : __real_malloc(size);
}

void __wrap_free(void *block)
{
    if (block && block == allocated)
        wiped = memmem(block, 2 * (size_t)getpagesize(), "sesame", 6) == NULL;
    __real_free(block);
}

// The flags of the mapping that ADDRESS is in: proc(5), smaps.
static void mapping_flags(const void *address, char flags[256])
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[256];
    unsigned long begin, end;
    bool here = false;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
            here = (unsigned long)address >= begin && (unsigned long)address < end;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            strcpy(flags, line);
    }
    fclose(maps);
}

TEST(a_gate_lies_where_no_core_dump_has_it)
{
    struct gate *gate = credential_gate();
    char flags[256] = "";

    assert_non_null(gate);
    assert_int_equal((uintptr_t)gate % (size_t)getpagesize(), 0);
    assert_int_equal(gate->token.length, 0);
    assert_false(gate->passed);
    mapping_flags(gate, flags);
    assert_non_null(strstr(flags, " dd "));
    credential_forget(gate);
}

TEST(a_gate_that_is_given_up_is_wiped)
{
    struct gate *gate = credential_gate();

    put("sesame", 6, 0600);
    file.token.length = 0;
    assert_true(load(file.path));
    gate->token = file.token;
    credential_forget(gate);
    assert_true(wiped);
    credential_forget(NULL);
}

TEST(without_memory_there_is_no_gate)
{
    out_of_memory = true;
    assert_null(credential_gate());
    out_of_memory = false;
}
