// SPDX-License-Identifier: MIT
// questions: the oracle for UDP: which datagrams must be answered, may be, must not be, and how.
#pragma once

#include <stdint.h>

void questions_begin(void);
void questions_finish(void);

// Since the start: datagrams read and answered; peers that were certainly new, and may have been.
uint64_t questions_read(void);
uint64_t questions_answered(void);
uint64_t questions_peers_sure(void);
uint64_t questions_peers_maybe(void);
