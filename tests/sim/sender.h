// SPDX-License-Identifier: MIT
// sender: where datagrams come from: honest clients, forged addresses, broadcasts, other servers.
#ifndef SENDER_H
#define SENDER_H

// Chooses whether there are any in this universe, and how many.
void sender_begin(void);

#endif
