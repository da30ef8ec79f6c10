// SPDX-License-Identifier: MIT
// credential: the token for /shutdown, read from a file and from nowhere else.
#pragma once

#include <stdbool.h>

#include "core/gate.h"
#include "ground/text.h"

// Reads the token from TOKEN_FILE, or if that is NULL from $CREDENTIALS_DIRECTORY/shutdown-token
// (systemd.exec(5), LoadCredential=). Without either, token->length is 0. False if a file that is
// named cannot be used: then ERROR says which and why, and TOKEN is as it was.
bool credential_load(const char *token_file, struct token *token, struct text *error);
