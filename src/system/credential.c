// SPDX-License-Identifier: MIT
#include "system/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// NULL, or what is wrong with the file. Within the credentials directory, access is systemd's
// business; anywhere else, a token that others can read is no secret. One group may read what is
// somebody else's, as the secrets of a container are root's; who made a file of their own readable
// by a group did not mean to.
static const char *check(int fd, bool inside)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "is not a regular file";
    if (!inside && (status.st_mode & S_IROTH))
        return "can be read by others";
    if (!inside && (status.st_mode & S_IRGRP) && status.st_uid == geteuid())
        return "can be read by a group, and belongs to the user the server runs as";
    return NULL;
}

static const char *take(int fd, bool inside, struct token *token)
{
    char content[TOKEN_MAX_BYTES + 2]; // a newline, and one more byte to see that it is too long
    size_t length = 0;
    ssize_t got;
    const char *problem = check(fd, inside);

    if (problem)
        return problem;
    while ((got = read(fd, content + length, sizeof content - length)) != 0) {
        if (got < 0 && errno != EINTR)
            return strerror(errno);
        length += got > 0 ? (size_t)got : 0;
    }
    return token_take(token, content, length);
}

// OPTIONAL: without the file there is no token, and that is no error.
static bool load(const char *path, bool inside, bool optional, struct token *token,
                 struct text *error)
{
    // Not blocking, for the path may be a pipe's.
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 && errno == ENOENT && optional) {
        token->length = 0;
        return true;
    }
    const char *problem = fd < 0 ? strerror(errno) : take(fd, inside, token);
    if (fd >= 0)
        close(fd);
    if (problem) {
        text_string(error, path);
        text_string(error, ": ");
        text_string(error, problem);
    }
    return !problem;
}

bool credential_load(const char *token_file, struct token *token, struct text *error)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t length = directory ? strlen(directory) : 0;

    while (length > 1 && directory[length - 1] == '/')
        length--;

    if (token_file) {
        bool inside = length > 0 && strncmp(token_file, directory, length) == 0 &&
                      token_file[length] == '/' && !strstr(token_file, "/../");
        return load(token_file, inside, false, token, error);
    }
    if (length == 0) {
        token->length = 0;
        return true;
    }
    char path[PATH_MAX];
    struct text text = text_in(path, sizeof path);
    text_bytes(&text, directory, length);
    text_string(&text, "/shutdown-token");
    text_end(&text);
    if (text.cut) {
        text_string(error, "CREDENTIALS_DIRECTORY is too long");
        return false;
    }
    return load(path, true, true, token, error); // the directory may hold other credentials
}
