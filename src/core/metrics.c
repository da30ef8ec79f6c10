// SPDX-License-Identifier: MIT
#include "core/metrics.h"

#include <inttypes.h>

#include "core/command.h"
#include "core/fault.h"
#include "ground/util.h"

// Every label there is stands in the page from the start: else the first event of a kind would be
// no increase. None comes from a client.
static const char *const closings[CLOSINGS] = {
    [CLOSED_EOF] = "eof",     [CLOSED_IDLE] = "idle", [CLOSED_LINE] = "line",
    [CLOSED_RESET] = "reset", [CLOSED_LONG] = "long", [CLOSED_DRAIN] = "drain",
    [CLOSED_PROXY] = "proxy",
};
static const char *const drops[DROPS] = {
    [DROP_PORT] = "port",           [DROP_MULTICAST] = "multicast",
    [DROP_HOP_LIMIT] = "hop_limit", [DROP_ERROR_TEXT] = "error_text",
    [DROP_RATE] = "rate",           [DROP_SEND] = "send",
    [DROP_KERNEL] = "kernel",
};
static const char *const transports[PROTOCOLS] = {"tcp", "udp"};

#define COUNTERS(member) (offsetof(struct facts, counters) + offsetof(struct counters, member))
#define USAGE(member) (offsetof(struct facts, usage) + offsetof(struct usage, member))

enum kind { COUNTER, GAUGE };

// What a metric's number is.
enum number { NUMBER_64, NUMBER_32, NUMBER_BOOL, NUMBER_NANOSECONDS, NUMBER_MILLISECONDS };

static const struct metric {
    const char *name, *help;
    enum kind kind;
    enum number number;
    size_t offset; // in facts
    const char *label;
    const char *const *values; // of the label: so many numbers from the offset on
    size_t count;
    bool optional; // 0 is not known
} metrics[] = {
    {"connections", "TCP connections admitted and open now.", .kind = GAUGE, .number = NUMBER_32,
     .offset = COUNTERS(connected_tcp)},
    {"connections_max", "TCP connections that are admitted at once (--max-tcp).", .kind = GAUGE,
     .number = NUMBER_32, .offset = offsetof(struct facts, max_tcp)},
    {"connections_accepted_total", "TCP connections admitted.", .kind = COUNTER,
     .number = NUMBER_64, .offset = COUNTERS(accepted_tcp)},
    {"connections_busy_total", "TCP connections told that the server is busy.", .kind = COUNTER,
     .number = NUMBER_64, .offset = COUNTERS(busy_tcp)},
    {"connections_closed_total", "Admitted TCP connections that have ended, by why.",
     .kind = COUNTER, .number = NUMBER_64, .offset = COUNTERS(closed_tcp), .label = "reason",
     .values = closings, .count = CLOSINGS},
    {"messages_total", "Lines and datagrams that came.", .kind = COUNTER, .number = NUMBER_64,
     .offset = COUNTERS(messages), .label = "transport", .values = transports, .count = PROTOCOLS},
    {"received_bytes_total", "Bytes that clients have sent.", .kind = COUNTER, .number = NUMBER_64,
     .offset = COUNTERS(received), .label = "transport", .values = transports, .count = PROTOCOLS},
    {"sent_bytes_total", "Bytes that clients were sent.", .kind = COUNTER, .number = NUMBER_64,
     .offset = COUNTERS(sent), .label = "transport", .values = transports, .count = PROTOCOLS},
    {"datagrams_dropped_total", "Datagrams that got no answer, by why.", .kind = COUNTER,
     .number = NUMBER_64, .offset = COUNTERS(udp_dropped), .label = "reason", .values = drops,
     .count = DROPS},
    {"udp_peers", "Peers heard from by UDP in the last 60 seconds.", .kind = GAUGE,
     .number = NUMBER_32, .offset = COUNTERS(active_udp_peers)},
    {"loop_wakeups_total", "Returns of epoll_wait.", .kind = COUNTER, .number = NUMBER_64,
     .offset = COUNTERS(wakeups)},
    {"log_lines_suppressed_total", "Events that the log has left out.", .kind = COUNTER,
     .number = NUMBER_64, .offset = COUNTERS(log_suppressed)},
    {"draining", "1 from the moment the end has been asked for.", .kind = GAUGE,
     .number = NUMBER_BOOL, .offset = offsetof(struct facts, draining)},
};

// The names that every client library has for these.
static const struct metric process[] = {
    {"process_cpu_seconds_total", "User and system time of the process.", .kind = COUNTER,
     .number = NUMBER_NANOSECONDS, .offset = USAGE(cpu_nanoseconds), .optional = true},
    {"process_resident_memory_bytes", "Memory of the process that is resident.", .kind = GAUGE,
     .number = NUMBER_64, .offset = USAGE(resident_bytes), .optional = true},
    {"process_open_fds", "Descriptors that are open.", .kind = GAUGE, .number = NUMBER_64,
     .offset = USAGE(descriptors), .optional = true},
    {"process_max_fds", "Descriptors that may be open.", .kind = GAUGE, .number = NUMBER_64,
     .offset = USAGE(max_descriptors), .optional = true},
    {"process_start_time_seconds", "When the process started, since 1970.", .kind = GAUGE,
     .number = NUMBER_MILLISECONDS, .offset = USAGE(start_milliseconds), .optional = true},
};

static void put_head(struct text *page, const char *prefix, const char *name, const char *help,
                     enum kind kind)
{
    text_format(page, "# HELP %s%s %s\n", prefix, name, help);
    text_format(page, "# TYPE %s%s %s\n", prefix, name, kind == COUNTER ? "counter" : "gauge");
}

static void put_value(struct text *page, enum number number, uint64_t value)
{
    switch (number) {
    case NUMBER_NANOSECONDS:
        text_format(page, " %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000, value % 1000000000);
        break;
    case NUMBER_MILLISECONDS:
        text_format(page, " %" PRIu64 ".%03" PRIu64 "\n", value / 1000, value % 1000);
        break;
    default:
        text_format(page, " %" PRIu64 "\n", value);
    }
}

// The number in the place INDEX from the metric's offset on.
static uint64_t value_of(const struct metric *metric, const struct facts *facts, size_t index)
{
    const char *at = (const char *)facts + metric->offset;

    switch (metric->number) {
    case NUMBER_32:
        return ((const uint32_t *)(const void *)at)[index];
    case NUMBER_BOOL:
        return ((const bool *)(const void *)at)[index];
    default:
        return ((const uint64_t *)(const void *)at)[index];
    }
}

static void put_metrics(struct text *page, const char *prefix, const struct metric *metric,
                        size_t count, const struct facts *facts)
{
    for (const struct metric *end = metric + count; metric < end; metric++) {
        if (metric->optional && value_of(metric, facts, 0) == 0)
            continue;
        put_head(page, prefix, metric->name, metric->help, metric->kind);
        for (size_t i = 0; i < metric->count || i == 0; i++) {
            text_format(page, "%s%s", prefix, metric->name);
            if (metric->label)
                text_format(page, "{%s=\"%s\"}", metric->label, metric->values[i]);
            put_value(page, metric->number, value_of(metric, facts, i));
        }
    }
}

static void put_commands(struct text *page, const struct facts *facts)
{
    const char *name;
    size_t i = 0;

    put_head(page, "epoll_echo_", "commands_total", "Commands that clients have sent.", COUNTER);
    for (; (name = command_name(i)); i++)
        text_format(page, "epoll_echo_commands_total{command=\"%s\"} %" PRIu64 "\n", name,
                    facts->counters.commands[i]);
    for (enum fault_kind kind = FAULT_DELAY; (name = fault_name(kind)); kind++)
        text_format(page, "epoll_echo_commands_total{command=\"%s\"} %" PRIu64 "\n", name,
                    facts->counters.commands[COUNTED_FAULTS + kind - 1]);
    text_format(page, "epoll_echo_commands_total{command=\"unknown\"} %" PRIu64 "\n",
                facts->counters.commands[COUNTED_UNKNOWN]);
}

void metrics_page(const struct facts *facts, struct text *page)
{
    put_head(page, "epoll_echo_", "build_info", "1, with the version of the program.", GAUGE);
    text_string(page, "epoll_echo_build_info{version=\"" VERSION "\"} 1\n");
    put_metrics(page, "epoll_echo_", metrics, ARRAY_LENGTH(metrics), facts);
    put_commands(page, facts);
    put_metrics(page, "", process, ARRAY_LENGTH(process), facts);
}
