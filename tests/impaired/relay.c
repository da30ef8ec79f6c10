// SPDX-License-Identifier: MIT
// relay: a bad line between two network namespaces.
//
//     relay SEED NAMESPACE [damage]
//
// Opens a tun device "wire" in its own namespace, the clients', and one in NAMESPACE (a path), the
// server's, says "ready", and carries packets between them through a weather that comes from SEED.
// With "damage" it also changes bytes, now and then, in a way that no checksum shows.
//
// Standard input: "calm" delivers everything that is under way, and from then on each packet at
// once; "errors" sends the server ERRORS_AT_ONCE ICMP errors about what it has sent last. Each is
// answered by a line. At its end, counts are printed.
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "packet.h"
#include "weather.h"

enum {
    QUEUE_MAX = 4096, // packets under way; more are lost
    TURN_MAX = 64,    // packets read from one device at a time
    ERROR_ROOM = 1280,
    ERRORS_AT_ONCE = 1000,
    SECRET_DAMAGE_ONE_IN = 40,
    MICROSECONDS = 1000000,
};

enum { CLIENTS, SERVER, SIDES };

struct under_way {
    uint64_t due; // microseconds
    int to;
    bool damaged; // the receiver will see that, and drop it
    size_t length;
    uint8_t bytes[];
};

struct saved {
    size_t length;
    uint8_t bytes[ERROR_ROOM];
};

struct relay {
    int tun[SIDES], control[SIDES];
    struct weather weather[SIDES]; // of what comes from there
    struct chance secret;
    bool secretly, calm;
    struct under_way *queue[QUEUE_MAX]; // in order of falling due
    size_t queued;
    struct ledger ledger;
    struct saved last[4]; // of the server's packets: IPv4 and IPv6, TCP and UDP
    unsigned long packets, lost, doubled, damaged, too_big, errors, limits, secrets;
};

static struct relay relay; // too large for the stack

static void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * MICROSECONDS + (uint64_t)time.tv_nsec / 1000;
}

static struct ifreq named(void)
{
    struct ifreq request = {.ifr_flags = 0};

    strcpy(request.ifr_name, "wire");
    return request;
}

static void open_device(int side)
{
    struct ifreq request = named();

    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    relay.tun[side] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (relay.tun[side] < 0)
        die("/dev/net/tun");
    if (ioctl(relay.tun[side], TUNSETIFF, &request) < 0)
        die("TUNSETIFF");
    relay.control[side] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (relay.control[side] < 0)
        die("socket");
}

static void enter(const char *path)
{
    int namespace = open(path, O_RDONLY | O_CLOEXEC);

    if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0)
        die(path);
    close(namespace);
}

static void limit_device(int side, unsigned limit)
{
    struct ifreq request = named();

    request.ifr_mtu = (int)limit;
    if (ioctl(relay.control[side], SIOCSIFMTU, &request) < 0)
        die("SIOCSIFMTU");
    relay.limits++;
}

// A packet that the device does not take, because it is down, is lost like others.
static void deliver(int side, const uint8_t *bytes, size_t length, bool damaged)
{
    if (side == SERVER && !damaged)
        ledger_asked(&relay.ledger, bytes, length);
    if (write(relay.tun[side], bytes, length) < 0)
        relay.lost++;
}

static void damage_secretly(uint8_t *bytes, size_t length)
{
    struct packet packet;

    if (packet_look(bytes, length, &packet) && packet.data < length &&
        chance_one_in(&relay.secret, SECRET_DAMAGE_ONE_IN))
        relay.secrets +=
            packet_damage(bytes, length, &packet, chance_next(&relay.secret), packet.whole);
}

static void enqueue(int to, const uint8_t *bytes, size_t length, uint64_t due,
                    const struct packet *damaged, uint64_t bit)
{
    struct under_way *entry = relay.queued < QUEUE_MAX ? malloc(sizeof *entry + length) : NULL;
    size_t at = relay.queued;

    if (!entry) {
        relay.lost++;
        return;
    }
    *entry = (struct under_way){.due = due, .to = to, .length = length};
    memcpy(entry->bytes, bytes, length);
    if (damaged)
        entry->damaged = packet_damage(entry->bytes, length, damaged, bit, false);
    else if (relay.secretly && to == CLIENTS)
        damage_secretly(entry->bytes, length);
    for (; at > 0 && relay.queue[at - 1]->due > due; at--)
        relay.queue[at] = relay.queue[at - 1];
    relay.queue[at] = entry;
    relay.queued++;
}

// Delivers what has fallen due by TIME.
static void deliver_due(uint64_t time)
{
    size_t done = 0;

    for (; done < relay.queued && relay.queue[done]->due <= time; done++) {
        struct under_way *entry = relay.queue[done];

        deliver(entry->to, entry->bytes, entry->length, entry->damaged);
        relay.damaged += entry->damaged;
        free(entry);
    }
    for (size_t i = done; i < relay.queued; i++)
        relay.queue[i - done] = relay.queue[i];
    relay.queued -= done;
}

static void send_error(int side, const uint8_t *about, size_t length,
                       const struct packet_error *error)
{
    uint8_t room[ERROR_ROOM];

    if (write(relay.tun[side], room, packet_write_error(room, about, length, error)) > 0)
        relay.errors++;
}

static void save(const uint8_t *bytes, size_t length, const struct packet *packet)
{
    bool udp = packet->protocol == IPPROTO_UDP;

    if (!packet->first || (!udp && packet->protocol != IPPROTO_TCP))
        return;
    struct saved *last = &relay.last[(packet->version == 6 ? 2 : 0) + udp];
    last->length = length < ERROR_ROOM ? length : ERROR_ROOM;
    memcpy(last->bytes, bytes, last->length);
}

static void suffer(int from, const uint8_t *bytes, size_t length, const struct packet *packet)
{
    struct fate fate = weather_fate(&relay.weather[from], packet, length);
    int to = from == CLIENTS ? SERVER : CLIENTS;
    uint64_t time = now();

    relay.lost += fate.copies == 0 && !fate.too_big;
    relay.too_big += fate.too_big;
    relay.doubled += fate.copies > 1;
    for (unsigned i = 0; i < fate.copies; i++)
        enqueue(to, bytes, length, time + fate.delay[i], fate.damaged && i == 0 ? packet : NULL,
                fate.bit);
    if (fate.error_sent)
        send_error(from, bytes, length, &fate.error);
    if (fate.device_limit > 0)
        limit_device(from, fate.device_limit);
}

// One packet from one side. False if there is none.
static bool carry(int from)
{
    static uint8_t bytes[PACKET_MAX_BYTES];
    struct packet packet;
    ssize_t got = read(relay.tun[from], bytes, sizeof bytes);

    if (got <= 0)
        return false;
    relay.packets++;
    if (!packet_look(bytes, (size_t)got, &packet))
        return true;
    if (from == SERVER) {
        ledger_answered(&relay.ledger, bytes, (size_t)got);
        save(bytes, (size_t)got, &packet);
    }
    if (relay.calm)
        deliver(from == CLIENTS ? SERVER : CLIENTS, bytes, (size_t)got, false);
    else
        suffer(from, bytes, (size_t)got, &packet);
    return true;
}

static void send_errors(void)
{
    unsigned long before = relay.errors;

    for (unsigned i = 0; i < ERRORS_AT_ONCE; i++) {
        const struct saved *last = &relay.last[i % 4];
        struct packet_error error = weather_error(&relay.weather[SERVER], i % 4 >= 2);

        if (last->length > 0)
            send_error(SERVER, last->bytes, last->length, &error);
    }
    printf("errors %lu\n", relay.errors - before);
}

// False at the end of input.
static bool take_command(void)
{
    char line[16];
    ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);

    if (got <= 0)
        return false;
    line[got] = '\0';
    if (strcmp(line, "calm\n") == 0) {
        deliver_due(UINT64_MAX);
        relay.calm = true;
        printf("calm\n");
    } else {
        send_errors();
    }
    fflush(stdout);
    return true;
}

static void wait_for_work(struct pollfd polled[SIDES + 1])
{
    struct timespec left = {.tv_sec = 0};

    if (relay.queued > 0) {
        uint64_t time = now();
        uint64_t due = relay.queue[0]->due;
        uint64_t until = due > time ? due - time : 0;

        left = (struct timespec){.tv_sec = (time_t)(until / MICROSECONDS),
                                 .tv_nsec = (long)(until % MICROSECONDS) * 1000};
    }
    if (ppoll(polled, SIDES + 1, relay.queued > 0 ? &left : NULL, NULL) < 0 && errno != EINTR)
        die("ppoll");
}

static void run(void)
{
    struct pollfd polled[SIDES + 1] = {{.fd = relay.tun[CLIENTS], .events = POLLIN},
                                       {.fd = relay.tun[SERVER], .events = POLLIN},
                                       {.fd = STDIN_FILENO, .events = POLLIN}};

    do {
        wait_for_work(polled);
        for (int side = 0; side < SIDES; side++)
            for (int i = 0; i < TURN_MAX && carry(side); i++)
                continue;
        deliver_due(now());
    } while (!polled[SIDES].revents || take_command());
}

static void print_counts(void)
{
    struct ledger_sums sums = ledger_sum(&relay.ledger);

    printf("packets=%lu lost=%lu doubled=%lu damaged=%lu too_big=%lu errors=%lu limits=%lu "
           "secrets=%lu asked=%u answered=%u excess=%u missing=%u\n",
           relay.packets, relay.lost, relay.doubled, relay.damaged, relay.too_big, relay.errors,
           relay.limits, relay.secrets, sums.asked, sums.answered, sums.excess, sums.missing);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: relay SEED NAMESPACE [damage]\n");
        return 2;
    }
    struct chance chance = {strtoull(argv[1], NULL, 10)};

    weather_init(&relay.weather[CLIENTS], chance_next(&chance));
    weather_init(&relay.weather[SERVER], chance_next(&chance));
    relay.secret.state = chance_next(&chance);
    relay.secretly = argc > 3;
    open_device(CLIENTS);
    enter(argv[2]);
    open_device(SERVER);
    printf("ready\n");
    fflush(stdout);
    run();
    print_counts();
    return 0;
}
