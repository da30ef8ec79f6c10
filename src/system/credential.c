// SPDX-License-Identifier: MIT
#include "system/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/util.h"

// A gate and the block that it is in, which is larger than a page.
struct vault {
    struct gate gate;
    void *block;
};

struct gate *credential_gate(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *block = malloc(2 * page);

    if (!block)
        return NULL;
    struct vault *vault = (void *)(block + page - (uintptr_t)block % page);
    madvise(vault, page, MADV_DONTDUMP); // without it, there is still PR_SET_DUMPABLE
    *vault = (struct vault){.block = block};
    return &vault->gate;
}

void credential_forget(struct gate *gate)
{
    if (!gate)
        return;
    struct vault *vault = container_of(gate, struct vault, gate);
    void *block = vault->block;
    explicit_bzero(vault, sizeof *vault);
    free(block);
}

// NULL, or what is wrong with the file. Within the credentials directory, access is systemd's
// business; anywhere else, a token that others can read is no secret. One group may read what is
// somebody else's, as the secrets of a container are root's; who made a file of their own readable
// by a group did not mean to.
static const char *check(int fd, bool inside, uid_t owner)
{
    struct stat status;

    // fstat(3) is this call or another one, as the C library likes; the sandbox has this one.
    if (fstatat(fd, "", &status, AT_EMPTY_PATH) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "is not a regular file";
    if (!inside && (status.st_mode & S_IROTH))
        return "can be read by others";
    if (!inside && (status.st_mode & S_IRGRP) && status.st_uid == owner)
        return "can be read by a group, and belongs to the user the server runs as";
    return NULL;
}

// The number of bytes that were read to CONTENT, at most SIZE. -1 with errno.
static ssize_t read_all(int fd, char *content, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while ((got = read(fd, content + length, size - length)) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        length += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)length;
}

static const char *take(int fd, bool inside, uid_t owner, struct token *token)
{
    char content[TOKEN_MAX_BYTES + 2]; // a newline, and one more byte to see that it is too long
    const char *problem = check(fd, inside, owner);

    if (problem)
        return problem;
    ssize_t length = read_all(fd, content, sizeof content);
    problem = length < 0 ? strerror(errno) : token_take(token, content, (size_t)length);
    explicit_bzero(content, sizeof content);
    return problem;
}

// The length of the name of the credentials directory, without slashes at its end. 0: there is
// none.
static size_t directory_length(const char *directory)
{
    size_t length = directory ? strlen(directory) : 0;

    while (length > 1 && directory[length - 1] == '/')
        length--;
    return length;
}

static bool is_inside(const char *path)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t length = directory_length(directory);

    return length > 0 && strncmp(path, directory, length) == 0 && path[length] == '/' &&
           !strstr(path, "/../");
}

void credential_path(const char *token_file, struct text *path)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t length = directory_length(directory);

    if (token_file) {
        text_string(path, token_file);
    } else if (length > 0) {
        text_bytes(path, directory, length);
        text_string(path, "/shutdown-token");
    }
}

// OPTIONAL: without the file there is no token, and that is no error.
static bool load(const char *path, bool inside, bool optional, uid_t owner, struct token *token,
                 struct text *error)
{
    // Not blocking, for the path may be a pipe's.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 && errno == ENOENT && optional) {
        explicit_bzero(token, sizeof *token);
        return true;
    }
    const char *problem = fd < 0 ? strerror(errno) : take(fd, inside, owner, token);
    if (fd >= 0)
        close(fd);
    if (problem) {
        text_string(error, path);
        text_string(error, ": ");
        text_string(error, problem);
    }
    return !problem;
}

bool credential_load(const char *token_file, uid_t owner, struct token *token, struct text *error)
{
    char room[PATH_MAX];
    struct text text = text_in(room, sizeof room);

    credential_path(token_file, &text);
    const char *path = text_end(&text);
    if (*path == '\0') {
        explicit_bzero(token, sizeof *token);
        return true;
    }
    if (text.cut) {
        text_string(error, token_file ? "--shutdown-token-file" : "CREDENTIALS_DIRECTORY");
        text_string(error, " is too long");
        return false;
    }
    bool inside = !token_file || is_inside(token_file);
    return load(path, inside, !token_file, owner, token, error); // the directory may hold others
}
