// SPDX-License-Identifier: MIT
// Descriptors in flight, over real sockets. Linked with --wrap=setsockopt.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/flight.h"

enum { MANY = 2 * FLIGHT_BATCH_MAX + 5, ROOM = 40 };

static struct flight flight;
static int option_error; // of setsockopt; 0: what the kernel says

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    errno = option_error;
    return errno ? -1 : __real_setsockopt(fd, level, name, value, length);
}

BEFORE_EACH
{
    option_error = 0;
    assert_true(flight_open(&flight));
}

AFTER_EACH
{
    flight_close(&flight);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 2000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

// The NUMBER-th of some files that can be told apart: by what is in them.
static int file_of(unsigned number)
{
    int fd = memfd_create("numbered", MFD_CLOEXEC);

    assert_int_equal(write(fd, &number, sizeof number), sizeof number);
    return fd;
}

static void send_files(unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        int fd = file_of(i);

        // What is not flushed yet has to stay open here.
        assert_true(flight_send(&flight, fd) && (flight.count == 0 || flight_flush(&flight)));
        close(fd);
    }
}

static void send_many(unsigned count)
{
    int fd[MANY];

    for (unsigned i = 0; i < count; i++) {
        fd[i] = file_of(i);
        assert_true(flight_send(&flight, fd[i]));
    }
    assert_true(flight_flush(&flight));
    assert_true(flight_flush(&flight)); // nothing is left
    while (count > 0)
        close(fd[--count]);
}

static void expect_file(int fd, unsigned number)
{
    unsigned found;

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(pread(fd, &found, sizeof found, 0), sizeof found);
    assert_int_equal(found, number);
    close(fd);
}

static int far_end(void)
{
    int far = flight.far;

    flight.far = -1;
    close(flight.near); // as it is when a process takes over
    flight.near = -1;
    return far;
}

static void send_text(const char *text)
{
    assert_true(flight_send_bytes(&flight, text, strlen(text)));
}

TEST(all_arrive_in_order_whatever_a_message_holds)
{
    static const unsigned counts[] = {
        0, 1, FLIGHT_BATCH_MAX - 1, FLIGHT_BATCH_MAX, FLIGHT_BATCH_MAX + 1, MANY};

    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        unsigned before = open_descriptors();
        struct arrival arrival;

        send_text("what there is");
        send_many(counts[i]);
        assert_null(arrival_open(&arrival, far_end()));
        assert_bytes(arrival.bytes, arrival.length, "what there is");
        for (unsigned number = 0; number < counts[i]; number++)
            expect_file(arrival_next(&arrival), number);
        assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
        assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
        arrival_close(&arrival);
        assert_int_equal(arrival.socket, -1);
        flight_close(&flight);
        assert_int_equal(open_descriptors(), before - 3);
        assert_true(flight_open(&flight));
    }
}

TEST(who_comes_next_finds_all_that_one_before_has_looked_at)
{
    int far, again[3];

    send_text("state");
    send_many(MANY);
    far = far_end();
    for (size_t i = 0; i < ARRAY_LENGTH(again); i++)
        again[i] = dup(far);
    close(far);
    for (unsigned round = 0; round < ARRAY_LENGTH(again); round++) {
        struct arrival arrival;

        assert_null(arrival_open(&arrival, again[round]));
        assert_bytes(arrival.bytes, arrival.length, "state");
        for (unsigned number = 0; number < MANY / (round + 1); number++) // it ends in their midst
            expect_file(arrival_next(&arrival), number);
        arrival_close(&arrival);
    }
}

TEST(where_looking_cannot_go_on_they_are_taken)
{
    struct arrival arrival;

    send_text("state");
    send_many(MANY);
    option_error = ENOPROTOOPT;
    assert_null(arrival_open(&arrival, far_end()));
    assert_bytes(arrival.bytes, arrival.length, "state");
    for (unsigned number = 0; number < MANY; number++)
        expect_file(arrival_next(&arrival), number);
    assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
    arrival_close(&arrival);
}

// Some are closed on their way; each that is in a batch with room stands in its place.
TEST(what_there_is_no_room_for_is_lost_in_its_place)
{
    struct rlimit limit, less;
    struct arrival arrival;
    unsigned came = 0, lost = 0;

    send_text("state");
    send_many(MANY);
    assert_null(arrival_open(&arrival, far_end()));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    less = (struct rlimit){ROOM, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    for (unsigned number = 0; number < MANY; number++) {
        int fd = arrival_next(&arrival);

        assert_int_not_equal(fd, ARRIVAL_END);
        lost += fd == ARRIVAL_LOST;
        if (fd == ARRIVAL_LOST)
            continue;
        assert_true(fd < ROOM);
        expect_file(fd, number); // and closes it: the next batch has as much room again
        came++;
    }
    assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(came >= 3 * 20 / 2 && lost > MANY / 2); // of three batches
    assert_int_equal(came + lost, MANY);
    arrival_close(&arrival);
}

TEST(without_room_for_one_nothing_tells_about_them)
{
    struct rlimit limit, none = {.rlim_cur = 0};
    struct arrival arrival;

    send_text("state");
    send_files(0, 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const char *problem = arrival_open(&arrival, far_end());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_string_equal(problem, "nothing tells about them");
    expect_file(arrival_next(&arrival), 0);
    arrival_close(&arrival);
}

TEST(whatever_was_not_taken_is_closed)
{
    unsigned before = open_descriptors();
    struct arrival arrival;

    send_text("state");
    send_many(MANY);
    assert_null(arrival_open(&arrival, far_end()));
    expect_file(arrival_next(&arrival), 0);
    arrival_close(&arrival);
    arrival_close(&arrival);
    flight_close(&flight);
    assert_int_equal(open_descriptors(), before - 3);
}

TEST(what_is_left_is_not_changed_any_more)
{
    int memory = dup(flight.memory);

    send_text("state");
    assert_int_equal(pwrite(memory, "x", 1, 0), -1);
    assert_int_equal(ftruncate(memory, 1), -1);
    assert_int_equal(ftruncate(memory, 100), -1);
    assert_int_equal(fcntl(memory, F_ADD_SEALS, 0), -1);
    close(memory);
}

TEST(more_than_can_be_read_is_not_sent)
{
    assert_false(flight_send_bytes(&flight, "", (size_t)FLIGHT_BYTES_MAX + 1));
    assert_int_equal(errno, EFBIG);
}

static void limit_files(rlim_t bytes, struct rlimit *before)
{
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    struct rlimit limit = {bytes, before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(what_cannot_be_written_is_told)
{
    struct rlimit before;

    signal(SIGXFSZ, SIG_IGN);
    limit_files(3, &before);
    assert_false(flight_send_bytes(&flight, "state", 5)); // after three of them
    assert_int_equal(errno, EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

TEST(nobody_there_is_told)
{
    int fd = file_of(0);

    close(flight.far);
    flight.far = -1;
    assert_true(flight_send(&flight, fd));
    assert_false(flight_flush(&flight));
    assert_int_equal(errno, EPIPE);
    assert_false(flight_send_bytes(&flight, "state", 5));
    close(fd);
}

TEST(it_is_not_opened_without_descriptors)
{
    struct rlimit limit, less;
    struct flight other;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (rlim_t room = 0; room < 3; room++) {
        int next = dup(0);

        close(next);
        less = (struct rlimit){(rlim_t)next + room, limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
        assert_false(flight_open(&other));
        assert_int_equal(errno, EMFILE);
        flight_close(&other);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        int again = dup(0);
        assert_int_equal(again, next);
        close(again);
    }
}

TEST(only_a_unix_socket_that_keeps_messages_apart_is_an_end)
{
    int stream[2], tcp = socket(AF_INET, SOCK_STREAM, 0), file = file_of(0);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    assert_true(arrival_is(flight.far));
    assert_true(arrival_is(flight.near));
    assert_false(arrival_is(stream[0]));
    assert_false(arrival_is(tcp));
    assert_false(arrival_is(file));
    assert_false(arrival_is(-1));
    close(stream[0]);
    close(stream[1]);
    close(tcp);
    close(file);
}

// What FD says about the rest: NULL, or what is wrong with it.
static const char *problem_of(int fd)
{
    struct arrival arrival;

    assert_true(flight_send(&flight, fd) && flight_flush(&flight));
    const char *problem = arrival_open(&arrival, far_end());
    int next = arrival_next(&arrival);
    assert_int_equal(next, ARRIVAL_END);
    assert_true(!problem == (arrival.bytes != NULL));
    arrival_close(&arrival);
    flight_close(&flight);
    assert_true(flight_open(&flight));
    return problem;
}

static int sealed(off_t length, int seals)
{
    int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(ftruncate(fd, length), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

TEST(what_tells_about_them_is_looked_at)
{
    enum { ALL = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
    static const struct {
        off_t length;
        int seals;
        const char *problem;
    } row[] = {
        {5, ALL, NULL},
        {5, ALL | F_SEAL_SEAL, NULL},
        {5, ALL & ~F_SEAL_WRITE, "what tells about them is not sealed"},
        {5, ALL & ~F_SEAL_GROW, "what tells about them is not sealed"},
        {5, ALL & ~F_SEAL_SHRINK, "what tells about them is not sealed"},
        {0, ALL, "what tells about them cannot be read"},
        {(off_t)FLIGHT_BYTES_MAX + 1, ALL, "what tells about them cannot be read"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        int fd = sealed(row[i].length, row[i].seals);
        const char *problem = problem_of(fd);

        assert_true(row[i].problem ? problem && strcmp(problem, row[i].problem) == 0 : !problem);
        close(fd);
    }
    int plain = open("/proc/self/exe", O_RDONLY); // which can have no seals
    assert_string_equal(problem_of(plain), "what tells about them is not sealed");
    close(plain);
}

// What no flight sends: LENGTH bytes, the first one BYTE, and so many descriptors.
static void send_raw(size_t length, uint8_t byte, unsigned descriptors)
{
    union {
        alignas(struct cmsghdr) char bytes[CMSG_SPACE(FLIGHT_BATCH_MAX * sizeof(int))];
    } control = {.bytes = ""};
    char bytes[200] = {(char)byte};
    struct iovec part = {bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int fd[FLIGHT_BATCH_MAX];

    for (unsigned i = 0; i < descriptors; i++)
        fd[i] = file_of(i);
    if (descriptors > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(descriptors * sizeof fd[0]);
        struct cmsghdr *at = CMSG_FIRSTHDR(&message);
        at->cmsg_level = SOL_SOCKET;
        at->cmsg_type = SCM_RIGHTS;
        at->cmsg_len = CMSG_LEN(descriptors * sizeof fd[0]);
        memcpy(CMSG_DATA(at), fd, descriptors * sizeof fd[0]);
    }
    assert_int_equal(sendmsg(flight.near, &message, 0), length);
    while (descriptors > 0)
        close(fd[--descriptors]);
}

TEST(what_no_flight_sends_ends_it_and_leaves_nothing_open)
{
    static const struct {
        size_t length;
        uint8_t byte;
        unsigned descriptors;
    } row[] = {{1, 0, 0}, {0, 0, 0}, {0, 0, 3},   {200, 2, 2}, {2, 1, 1},
               {1, 2, 3}, {1, 0, 1}, {1, 254, 0}, {1, 255, 2}};

    for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
        unsigned before = open_descriptors();
        struct arrival arrival;

        send_text("state");
        send_files(0, 1);
        send_raw(row[i].length, row[i].byte, row[i].descriptors);
        assert_null(arrival_open(&arrival, far_end()));
        expect_file(arrival_next(&arrival), 0);
        assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
        arrival_close(&arrival);
        flight_close(&flight);
        assert_int_equal(open_descriptors(), before - 3);
        assert_true(flight_open(&flight));
    }
}

TEST(more_than_came_are_lost)
{
    struct arrival arrival;

    send_text("state");
    send_raw(1, 3, 1);
    send_raw(1, 2, 0);
    assert_null(arrival_open(&arrival, far_end()));
    expect_file(arrival_next(&arrival), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(arrival_next(&arrival), ARRIVAL_LOST);
    assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
    arrival_close(&arrival);
}

TEST(credentials_beside_them_are_left_out)
{
    static const int yes = 1;
    struct arrival arrival;

    assert_int_equal(__real_setsockopt(flight.far, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
    send_text("state");
    send_files(0, 3);
    assert_null(arrival_open(&arrival, far_end()));
    assert_bytes(arrival.bytes, arrival.length, "state");
    for (unsigned number = 0; number < 3; number++)
        expect_file(arrival_next(&arrival), number);
    arrival_close(&arrival);
}

TEST(nothing_comes_from_what_is_no_socket)
{
    struct arrival arrival;
    int file = file_of(0);

    assert_string_equal(arrival_open(&arrival, file), "nothing tells about them");
    assert_int_equal(arrival_next(&arrival), ARRIVAL_END);
    arrival_close(&arrival);
    assert_int_equal(fcntl(file, F_GETFD), -1);
}

TEST(a_hundred_thousand_have_room)
{
    for (int i = 0; i < 100000; i++)
        assert_true(flight_send(&flight, STDIN_FILENO));
    assert_true(flight_flush(&flight));
}

// Without privileges: in a child, as they do not come back.
static int errno_of_too_many(void)
{
    struct rlimit limit, few;

    if (setresuid(12345, 12345, 12345) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return EPERM;
    few = (struct rlimit){ROOM, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    for (int i = 0; i < 3 * FLIGHT_BATCH_MAX; i++)
        if (!flight_send(&flight, STDIN_FILENO))
            return i == 2 * FLIGHT_BATCH_MAX - 1 ? errno : EINVAL;
    return 0;
}

TEST(more_than_a_user_may_have_on_their_way_are_refused)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(errno_of_too_many());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == EPERM)
        skip();
    assert_int_equal(WEXITSTATUS(status), ETOOMANYREFS);
}
