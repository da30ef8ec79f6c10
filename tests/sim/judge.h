// SPDX-License-Identifier: MIT
// judge: the oracles. Each is told what the daemon does, and fails the universe if the contract or
// the design forbids it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_TOKEN "open-sesame"

struct flow;
struct netsock;
struct question;

// What the server has; UNCERTAIN: it may have lost or regained it.
extern struct judge_token {
    bool there, uncertain;
} judge_token;

// Since the start: datagrams read, answered, and taken for no answer; peers that were certainly
// new, and may have been. Of those read, some wait to be answered later, or were dropped instead.
extern struct udp_counts {
    uint64_t read, answered, discarded, peers, peers_maybe, waiting, waiting_most;
} udp;

void judge_begin(void);
void questions_begin(void);

// server_init is over, and server_finish.
void judge_started(void);
void judge_left(void); // everything, to the next process, of which the same is to hold
void judge_run_over(int result);
void judge_ended(void);

// TCP.
void judge_accepted(struct netsock *socket, struct flow *flow);
void judge_accept_failed(void);
void judge_receive_failed(struct netsock *socket);
void judge_registered(struct flow *flow);
// It is watched, for input or for room to send.
void judge_watched(struct flow *flow, bool input);
void judge_recv(struct flow *flow); // is about to
void judge_received(struct flow *flow, const char *bytes, long result, bool cut_short);
void judge_peeked(struct flow *flow, long result);
void judge_asked(struct flow *flow); // when the last bytes moved
void judge_sent(struct flow *flow, const char *bytes, long result);
void judge_shutdown(struct flow *flow, long result);
void judge_closed(struct flow *flow);
void judge_listener_closed(const struct netsock *socket);

// UDP.
void judge_question(struct netsock *socket, struct question *question);
// An answer that is about to go out; it answers the question that it takes out of the batch.
struct msghdr;
void judge_answer(struct netsock *socket, const struct msghdr *message, bool sent);
// What is left in the batch is not going to be answered: EXCUSED, for there was no room.
void judge_batch_over(struct netsock *socket, bool excused);
// Nothing is ready: are delayed answers late?
void judge_delayed(void);

// Signals, and time.
void judge_signal(int number);
void judge_turn_over(void); // epoll_wait is called
void judge_turn(void);      // and returns
void judge_sleep(void);     // nothing is ready: time is about to pass
void judge_timer(void);
// To be called at each of the daemon's calls: has the end begun?
void judge_phase(void);

// The log.
void judge_log(const char *line, size_t length);

// What /stats may tell.
void judge_totals(uint64_t *total, uint64_t *busy);
void judge_refused(uint64_t *least, uint64_t *most);
