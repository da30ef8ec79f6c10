// SPDX-License-Identifier: MIT
// credential: the token for /shutdown, read from a file and from nowhere else, and kept in one
// place.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core/gate.h"
#include "ground/text.h"

// A gate in a page of its own, which no core dump has. NULL: there is no memory. It is wiped by
// credential_forget, which may be given NULL.
struct gate *credential_gate(void);
void credential_forget(struct gate *gate);

// Puts the path of the token file at PATH: TOKEN_FILE, or if that is NULL
// $CREDENTIALS_DIRECTORY/shutdown-token (systemd.exec(5), LoadCredential=), or nothing without
// either.
void credential_path(const char *token_file, struct text *path);

// Reads the token from that file for the user OWNER, as whom the server is to run. If there is no
// path, or no file in the directory, token->length is 0. False if a file that is named cannot be
// used: then ERROR says which and why, and TOKEN is as it was. No other copy is left.
bool credential_load(const char *token_file, uid_t owner, struct token *token, struct text *error);
