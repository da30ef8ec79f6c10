// SPDX-License-Identifier: MIT
// sender: where datagrams come from: honest clients, forged addresses, broadcasts, other servers.
#pragma once

// Chooses whether there are any in this universe, and how many.
void sender_begin(void);
