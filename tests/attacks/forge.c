// SPDX-License-Identifier: MIT
// forge: sends UDP datagrams over IPv4, each from a source of its own that does not exist.
//
//     forge ADDRESS PORT FIRST COUNT TEXT
//
// The sources are 10.0.0.0 and up, from number FIRST on, COUNT of them: more than 16 million, and
// then 11.0.0.0 and so on. A raw socket takes the header as it is (raw(7), IP_HDRINCL), so that it
// needs root, and the route to ADDRESS must be a local one. Prints how many were sent.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, TEXT_MAX_BYTES = 256, FIRST_SOURCE = 0x0a000000, SOURCE_PORT = 5000, HOPS = 64 };

struct packet {
    struct iphdr ip;
    struct udphdr udp;
    char text[TEXT_MAX_BYTES];
};

struct flood {
    int fd;
    struct sockaddr_in target;
    struct packet packet[BATCH];
    struct iovec bytes[BATCH];
    struct mmsghdr message[BATCH];
};

static void prepare(struct flood *flood, const char *text)
{
    size_t length = strlen(text), udp = sizeof(struct udphdr) + length;

    for (size_t i = 0; i < BATCH; i++) {
        struct packet *packet = &flood->packet[i];

        // The kernel fills in the length and the checksum; none is needed for UDP over IPv4.
        packet->ip = (struct iphdr){.version = 4,
                                    .ihl = sizeof packet->ip / 4,
                                    .ttl = HOPS,
                                    .protocol = IPPROTO_UDP,
                                    .daddr = flood->target.sin_addr.s_addr};
        packet->udp = (struct udphdr){.source = htons(SOURCE_PORT),
                                      .dest = flood->target.sin_port,
                                      .len = htons((uint16_t)udp)};
        memcpy(packet->text, text, length);
        flood->bytes[i] = (struct iovec){packet, sizeof packet->ip + udp};
        flood->message[i].msg_hdr = (struct msghdr){.msg_name = &flood->target,
                                                    .msg_namelen = sizeof flood->target,
                                                    .msg_iov = &flood->bytes[i],
                                                    .msg_iovlen = 1};
    }
}

// The number sent, fewer than COUNT if the kernel refuses.
static unsigned long send_all(struct flood *flood, unsigned long first, unsigned long count)
{
    unsigned long sent = 0;

    while (sent < count) {
        unsigned want = count - sent < BATCH ? (unsigned)(count - sent) : BATCH;

        for (unsigned i = 0; i < want; i++)
            flood->packet[i].ip.saddr = htonl((uint32_t)(FIRST_SOURCE + first + sent + i));
        int done = sendmmsg(flood->fd, flood->message, want, 0);
        if (done > 0)
            sent += (unsigned long)done;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            break;
    }
    return sent;
}

int main(int argc, char *argv[])
{
    static struct flood flood;

    if (argc != 6 || strlen(argv[5]) > TEXT_MAX_BYTES) {
        fputs("Usage: forge ADDRESS PORT FIRST COUNT TEXT\n", stderr);
        return 2;
    }
    unsigned long first = strtoul(argv[3], NULL, 10), count = strtoul(argv[4], NULL, 10);
    flood.fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    flood.target.sin_family = AF_INET;
    flood.target.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    if (flood.fd < 0 || inet_pton(AF_INET, argv[1], &flood.target.sin_addr) != 1) {
        perror("forge");
        return 1;
    }
    prepare(&flood, argv[5]);
    unsigned long sent = send_all(&flood, first, count);
    if (sent < count)
        perror("forge: sendmmsg");
    printf("%lu\n", sent);
    close(flood.fd);
    return sent == count ? 0 : 1;
}
