// SPDX-License-Identifier: MIT
// sandbox: what the process can do once it serves, and what whoever takes it over could do.
//
// Everything is open by then. What remains is moving bytes, taking in connections, memory, and
// reading the token file again: for all else there is neither a system call nor a file.
#pragma once

// Settles what the C library would put off until it needs a system call that the sandbox refuses.
// To be called first.
void sandbox_prepare(void);

// Enters the sandbox, for good: no new privileges, no capability, not dumpable, no system call but
// those of ARCHITECTURE.md, and no file but those in the directory of TOKEN_FILE, which may be NULL
// for none. What the system does not have is left out; the log says so at debug.
//
// With the path of a SUCCESSOR, a program that can go on in this one's place, the sandbox has room
// for its start: it and all that comes after it stay within. Where an architecture cannot have
// that, or with NULL, nothing is ever executed.
void sandbox_enter(const char *token_file, const char *successor);
