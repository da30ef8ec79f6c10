// SPDX-License-Identifier: MIT
// calls: the daemon's system calls, which the linker brings here (-Wl,--wrap).
#ifndef CALLS_H
#define CALLS_H

enum token_file { TOKEN_NONE, TOKEN_GOOD, TOKEN_ABSENT, TOKEN_EMPTY, TOKEN_READABLE };

#define CALLS_TOKEN_PATH "/simulated/shutdown-token"

void calls_begin(enum token_file token);
void calls_token(enum token_file token);

#endif
