// SPDX-License-Identifier: MIT
// Bytes taken for a string: an echo that sends strlen() bytes stops at the first zero byte. (And
// with a full buffer there is none: strlen() runs on behind its end.)
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    deliver(p.client, p.server, "one\0two\n", 8);

    char buffer[1024] = {0};
    ssize_t n = recv(p.server, buffer, sizeof(buffer), 0);
    size_t length = cured ? (size_t)n : strlen(buffer); // the cure: recv() has said how many
    send(p.server, buffer, length, MSG_NOSIGNAL);
    close(p.server);

    must(poll(&(struct pollfd){p.client, POLLRDHUP, 0}, 1, -1), "poll");
    printf("8 bytes sent, %zd came back\n", n = recv(p.client, buffer, sizeof(buffer), 0));
    return n != 8;
}
