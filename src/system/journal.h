// SPDX-License-Identifier: MIT
// journal: has the log go to systemd's journal, field by field, as JOURNAL_NATIVE_PROTOCOL of
// systemd describes, where standard error goes there anyway. Without libsystemd.
//
// This, notify and passed are what systemd hands to a service and wants to hear from it: compiled
// by `make ENABLE_SYSTEMD=1`. Any other build links system/unmanaged.c, in which they do nothing.
#pragma once

// Opens the journal's socket if JOURNAL_STREAM (systemd.exec(5)) names standard error; else, and
// where that fails, the log stays where it was.
void journal_open(void);
void journal_close(void);
