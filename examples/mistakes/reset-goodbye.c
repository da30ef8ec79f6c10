// SPDX-License-Identifier: MIT
// close() with unread input turns a goodbye into a reset: the kernel tells the peer that what it
// sent was thrown away, and the peer sees ECONNRESET in place of a clean end.
#include "mistake.h"

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    struct pair p = tcp_pair();
    char text[64] = "";
    deliver(p.client, p.server, "GET / HTTP/1.0\n", 15); // which the server does not want to read
    send(p.server, "Server Busy\n", 12, MSG_NOSIGNAL);
    if (cured) {
        shutdown(p.server, SHUT_WR); // the cure: say that this was all,
        while (recv(p.server, text, sizeof(text), 0) > 0)
            ; // and throw away what comes, until the peer is done (in a loop, and with a limit)
    }
    close(p.server);

    must(poll(&(struct pollfd){p.client, POLLRDHUP, 0}, 1, -1), "poll");
    bool arrived = recv(p.client, text, sizeof(text), 0) == 12;
    ssize_t n = recv(p.client, text, sizeof(text), 0);
    printf("the goodbye %s, then: %s\n", arrived ? "can be read" : "is lost",
           n < 0 ? strerror(errno) : "end of file");
    return n != 0;
}
