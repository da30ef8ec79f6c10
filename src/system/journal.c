// SPDX-License-Identifier: MIT
#include "system/journal.h"

#include <ctype.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ground/log.h"
#include "ground/text.h"

enum {
    ENTRY_MAX_BYTES = 8192, // far below what a datagram may hold
    MESSAGE_MAX_BYTES = 2048,
};

static const struct sockaddr_un journal_address = {AF_UNIX, "/run/systemd/journal/socket"};

// The log is the process's, and so is its way to the journal. -1: it goes to standard error.
static int journal = -1;

// Every field is written with its length, the form that any value can have. One that does not fit
// is left out, for a part of it would spoil the entry.
static void put_field(struct text *entry, const char *prefix, const char *key, const char *value)
{
    size_t before = entry->length;
    uint64_t length = htole64(strlen(value));

    text_string(entry, prefix);
    for (const char *at = key; *at; at++)
        text_format(entry, "%c", toupper((unsigned char)*at));
    text_string(entry, "\n");
    text_bytes(entry, &length, sizeof length);
    text_string(entry, value);
    text_string(entry, "\n");
    // uncovered: the room holds the longest of today's entries, one with the path of a token file.
    // A longer one would lose the field that does not fit, and not its end.
    if (entry->cut)
        entry->length = before;
    entry->cut = false;
}

// What a reader sees who does not ask for fields.
static void put_message(struct text *entry, const struct log_field *fields, size_t count,
                        uint64_t suppressed)
{
    char room[MESSAGE_MAX_BYTES], value[LOG_VALUE_MAX];
    struct text text = text_in(room, sizeof room);

    text_string(&text, fields[0].text);
    for (size_t i = 1; i < count; i++)
        if (log_value(&fields[i], value))
            text_format(&text, " %s=%s", fields[i].key, log_value(&fields[i], value));
    if (suppressed > 0)
        text_format(&text, " suppressed=%" PRIu64, suppressed);
    put_field(entry, "", "MESSAGE", text_end(&text));
}

static void put_number(struct text *entry, const char *prefix, const char *key, uint64_t number)
{
    char value[LOG_VALUE_MAX];

    snprintf(value, sizeof value, "%" PRIu64, number);
    put_field(entry, prefix, key, value);
}

static bool write_journal(enum log_level level, const struct log_field *fields, size_t count,
                          uint64_t suppressed)
{
    char room[ENTRY_MAX_BYTES], value[LOG_VALUE_MAX];
    struct text entry = text_in(room, sizeof room);

    put_message(&entry, fields, count, suppressed);
    put_number(&entry, "", "PRIORITY", (uint64_t)log_severity(level));
    put_field(&entry, "", "SYSLOG_IDENTIFIER", "epoll-echo");
    put_field(&entry, "ECHO_", "EVENT", fields[0].text);
    for (size_t i = 1; i < count; i++)
        if (log_value(&fields[i], value))
            put_field(&entry, "ECHO_", fields[i].key, log_value(&fields[i], value));
    if (suppressed > 0)
        put_number(&entry, "ECHO_", "suppressed", suppressed);
    return sendto(journal, entry.bytes, entry.length, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&journal_address, sizeof journal_address) >= 0;
}

// JOURNAL_STREAM is inherited also by those whose standard error goes elsewhere (systemd.exec(5)).
static bool journal_is_standard_error(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char room[64];
    struct text own = text_in(room, sizeof room);
    struct stat status;

    // uncovered: standard error is open, main has seen to that, and fstat(2) has nothing else to
    // fail for.
    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    text_format(&own, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, text_end(&own)) == 0;
}

void journal_open(void)
{
    // uncovered: there is a journal already only where one process has two servers, as a test may
    // have.
    if (journal >= 0 || !journal_is_standard_error() || access(journal_address.sun_path, W_OK) < 0)
        return;
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal >= 0)
        log_set_sink(write_journal);
}

void journal_close(void)
{
    if (journal < 0)
        return;
    log_set_sink(NULL);
    close(journal);
    journal = -1;
}
