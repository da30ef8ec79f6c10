// SPDX-License-Identifier: MIT
// A drain loop without a budget: a peer that refills the socket as fast as it is read never lets
// the loop see EAGAIN, and everybody else waits. Here the fast peer is simulated, so that each
// run is the same: after each read it sends again.
#include "mistake.h"

enum { END_OF_PATIENCE = 10000, BUDGET = 16 }; // in reads

int main(int argc, char **argv)
{
    bool cured = is_cured(argc, argv);
    int listener = listen_on(NULL);
    struct pair greedy = connect_pair(listener), modest = connect_pair(listener);
    int loop = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(loop, EPOLL_CTL_ADD, greedy.server, EPOLLIN | EPOLLET);
    watch(loop, EPOLL_CTL_ADD, modest.server, EPOLLIN | EPOLLET);
    char buffer[1024] = "";
    deliver(greedy.client, greedy.server, buffer, sizeof(buffer));
    deliver(modest.client, modest.server, "hello\n", 6);

    int reads = 0;
    bool unfinished = false, served = false; // the greedy one, the modest one
    while (!served && reads < END_OF_PATIENCE) {
        struct epoll_event event = {.data.fd = greedy.server};
        if (epoll_wait(loop, &event, 1, unfinished ? 0 : PATIENCE_MS) == 1 &&
            event.data.fd == modest.server) {
            served = recv(modest.server, buffer, sizeof(buffer), 0) == 6;
            continue;
        }
        int turn = 0;
        while (recv(greedy.server, buffer, sizeof(buffer), 0) > 0 && ++reads < END_OF_PATIENCE) {
            deliver(greedy.client, greedy.server, buffer, sizeof(buffer));
            if (cured && ++turn == BUDGET) // the cure: leave, remember, come back
                break;
        }
        unfinished = true;
    }
    printf("the modest client %s after %d reads from the greedy one\n",
           served ? "was served" : "still waits", reads);
    return !served;
}
