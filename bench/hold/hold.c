// SPDX-License-Identifier: MIT
// hold: holds TCP connections that say nothing, and does with them what it is told on standard
// input, a command a line; each is answered by one line on standard output. It ends with its input.
//
//     hold HOST PORT SOURCE     IPv4 addresses; SOURCE is where connections come from
//
//     open N     makes N more, and tells "opened N", or "failed", how many, and why
//     look       "open N ended N reset N lost N spoke N": how those are that were opened; lost are
//                those that the kernel gave up, and spoke had something to say unasked
//     ask        sends a line of its own on each that is open, and tells "answered N wrong N silent
//                N closed N", the last being those that could not be asked
//     close N    resets the N newest, which leaves nothing in TIME_WAIT, and tells "closed N"
//     call       "call NS": what an empty system call takes, the least of some rounds
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "core/number.h"

enum {
    // Asked before the first answer is waited for: so many that each of 54 servers has dozens.
    AT_ONCE = 4096,
    PATIENCE_SECONDS = 30,
    LINE_BYTES = 32,
    CALLS = 200000,
    CALL_ROUNDS = 5,
};

enum fate { OPEN, ENDED, RESET, LOST, SPOKE, FATES };
enum answer { ANSWERED, WRONG, SILENT, CLOSED, ANSWERS };

struct holder {
    struct sockaddr_in target, source;
    int *fds;
    unsigned count, room;
};

static int set_up(const struct holder *holder, int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const int on = 1;

    // The port is chosen when the other end is known: one that serves another address serves here.
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
        return -1;
    return bind(fd, (const struct sockaddr *)&holder->source, sizeof holder->source);
}

static int open_one(struct holder *holder)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (set_up(holder, fd) < 0 ||
        connect(fd, (const struct sockaddr *)&holder->target, sizeof holder->target) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    holder->fds[holder->count++] = fd;
    return 0;
}

static void open_more(struct holder *holder, unsigned wanted)
{
    for (unsigned done = 0; done < wanted; done++) {
        if (holder->count == holder->room)
            errno = EMFILE;
        if (holder->count == holder->room || open_one(holder) < 0) {
            printf("failed %u %s\n", done, strerror(errno));
            return;
        }
    }
    printf("opened %u\n", wanted);
}

static enum fate fate_of(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return OPEN;
    if (got < 0)
        return errno == ECONNRESET ? RESET : LOST;
    return got > 0 ? SPOKE : ENDED;
}

static void look(const struct holder *holder)
{
    unsigned found[FATES] = {0};

    for (unsigned i = 0; i < holder->count; i++)
        found[fate_of(holder->fds[i])]++;
    printf("open %u ended %u reset %u lost %u spoke %u\n", found[OPEN], found[ENDED], found[RESET],
           found[LOST], found[SPOKE]);
}

// The line of connection NUMBER; its length.
static size_t line_of(char line[LINE_BYTES], unsigned number)
{
    return (size_t)snprintf(line, LINE_BYTES, "%u of %d\n", number, (int)getpid());
}

static enum answer send_line(int fd, unsigned number)
{
    char line[LINE_BYTES];
    size_t length = line_of(line, number);

    if (fate_of(fd) != OPEN)
        return CLOSED;
    return send(fd, line, length, MSG_NOSIGNAL) == (ssize_t)length ? ANSWERED : CLOSED;
}

static enum answer receive_line(int fd, unsigned number)
{
    char line[LINE_BYTES], came[LINE_BYTES] = {0};
    size_t length = line_of(line, number), have = 0;

    while (have < length) {
        ssize_t got = recv(fd, came + have, sizeof came - have, 0);

        if (got < 0 && errno == EAGAIN)
            return SILENT;
        if (got <= 0)
            return CLOSED;
        have += (size_t)got;
    }
    return have == length && memcmp(line, came, length) == 0 ? ANSWERED : WRONG;
}

// Asks COUNT of them, AT_ONCE at the most, from number FIRST on.
static void ask_some(const int *fds, unsigned first, unsigned count, unsigned found[ANSWERS])
{
    static enum answer asked[AT_ONCE];

    for (unsigned i = 0; i < count; i++)
        asked[i] = send_line(fds[i], first + i);
    for (unsigned i = 0; i < count; i++)
        found[asked[i] == ANSWERED ? receive_line(fds[i], first + i) : asked[i]]++;
}

static void ask(const struct holder *holder)
{
    unsigned found[ANSWERS] = {0};

    for (unsigned first = 0; first < holder->count; first += AT_ONCE) {
        unsigned left = holder->count - first;

        ask_some(holder->fds + first, first, left < AT_ONCE ? left : AT_ONCE, found);
    }
    printf("answered %u wrong %u silent %u closed %u\n", found[ANSWERED], found[WRONG],
           found[SILENT], found[CLOSED]);
}

static void close_newest(struct holder *holder, unsigned wanted)
{
    static const struct linger at_once = {.l_onoff = 1};
    unsigned done = 0;

    for (; done < wanted && holder->count > 0; done++) {
        int fd = holder->fds[--holder->count];

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    printf("closed %u\n", done);
}

static void time_call(void)
{
    uint64_t least = UINT64_MAX;

    for (int round = 0; round < CALL_ROUNDS; round++) {
        uint64_t begin = clock_now();

        for (int i = 0; i < CALLS; i++)
            syscall(SYS_getppid);
        uint64_t took = (clock_now() - begin) / CALLS;
        least = took < least ? took : least;
    }
    printf("call %" PRIu64 "\n", least);
}

// False if it is no command.
static int obey(struct holder *holder, char *line)
{
    uint64_t number = 0;
    char *word = strtok(line, " \n"), *count = strtok(NULL, " \n");

    if (!word || (count && !number_of(count, UINT32_MAX, &number)))
        return 0;
    if (strcmp(word, "open") == 0 && count)
        open_more(holder, (unsigned)number);
    else if (strcmp(word, "close") == 0 && count)
        close_newest(holder, (unsigned)number);
    else if (strcmp(word, "look") == 0)
        look(holder);
    else if (strcmp(word, "ask") == 0)
        ask(holder);
    else if (strcmp(word, "call") == 0)
        time_call();
    else
        return 0;
    return 1;
}

static int address(const char *host, const char *port, struct sockaddr_in *found)
{
    uint64_t number;

    *found = (struct sockaddr_in){.sin_family = AF_INET};
    if (!number_of(port, UINT16_MAX, &number) || inet_pton(AF_INET, host, &found->sin_addr) != 1)
        return -1;
    found->sin_port = htons((uint16_t)number);
    return 0;
}

// As many as the system lets it have.
static int make_room(struct holder *holder)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    holder->room = limit.rlim_max < UINT16_MAX ? (unsigned)limit.rlim_max : UINT16_MAX;
    holder->fds = malloc(holder->room * sizeof *holder->fds);
    return holder->fds ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct holder holder = {.count = 0};
    char line[LINE_BYTES];

    if (argc != 4 || address(argv[1], argv[2], &holder.target) < 0 ||
        address(argv[3], "0", &holder.source) < 0) {
        fprintf(stderr, "usage: hold HOST PORT SOURCE\n");
        return 2;
    }
    if (make_room(&holder) < 0) {
        perror("hold");
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        if (!obey(&holder, line))
            printf("what?\n");
        fflush(stdout);
    }
    free(holder.fds);
    return 0;
}
