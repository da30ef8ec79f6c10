"""Every attack: how large it is in the short and in the long form, and how its figures are told.

A bound is what holds on any machine and is asserted by the attack itself. A target is for the
latency of polite clients on a quiet machine: it is compared by `measure`, and never asserted.
"""

import dataclasses
from collections.abc import Callable

import crowd
import datagrams
import everybyte
import guessing
import logflood
import misbehaving

@dataclasses.dataclass(frozen=True)
class Attack:
    name: str
    variant: str
    run: Callable
    bound: str
    told: str  # filled in with the figures
    short: dict
    long: dict
    targets: dict = dataclasses.field(default_factory=dict)  # figure: at most
    timed: bool = False  # whether the long form measures the latency of polite clients meanwhile

    @property
    def title(self):
        return f"{self.name}-{self.variant}"

    def tell(self, figures):
        """What was measured, in words."""
        return (self.told + LATENCY * ("p99_us" in figures)).format(**figures)

    def missed(self, figures):
        """The targets that were not met."""
        return [f"{name} {figures[name]:.0f} instead of {most}" for name, most in self.targets.items()
                if figures[name] > most]


LATENCY = ". Polite clients: p50 {p50_us:.0f} µs, p99 {p99_us:.0f}, worst {max_us:.0f}; without the attack " \
          "{quiet_p50_us:.0f}, {quiet_p99_us:.0f}, {quiet_max_us:.0f}"


PIPELINING = {"p99_us": 2000, "max_us": 20000}
MANY = {"p99_us": 4000, "max_us": 20000}
BOTH = ["127.0.0.1", "::1"]

ATTACKS = [
    Attack("slowloris", "slots", crowd.slowloris,
           "every slot is free again at the line timeout; who is in is served, who is not is told",
           "{connections} slots, closed after {first_s:.1f} to {last_s:.1f} s of {timeout_s} s",
           {"connections": 500, "line_timeout": 2}, {"connections": 8000, "line_timeout": 30}, timed=True),
    Attack("headers", "missing", crowd.headless,
           "5 s for a header, however it drips; who sends one is served",
           "{connections} without, closed after {first_s:.1f} to {last_s:.1f} s",
           {"connections": 500}, {"connections": 8000}, timed=True),
    *(Attack("never-readers", variant, crowd.never_readers, bound,
             "{connections} of them, --socket-buffer={socket_buffer}: {process_kb:.0f} KiB of the process each, "
             "{kernel_kb:.0f} KiB of the kernel, {kernel_max_kb:.0f} at most, {kernel_sum_mb:.0f} MB in all",
             {"connections": short, "socket_buffer": buffer}, {"connections": long, "socket_buffer": buffer},
             timed=True)
      for variant, short, long, buffer, bound in (
          ("few", 20, 100, 0, "process: 133 KiB each; kernel: what net.ipv4.tcp_wmem and tcp_rmem allow each"),
          ("many", 50, 1000, 0, "process: 133 KiB each; kernel: what net.ipv4.tcp_mem allows the machine"),
          ("bounded", 200, 1000, 16384, "process: 133 KiB each; kernel: 4 times --socket-buffer and 64 KiB each"))),
    Attack("connections", "flood", crowd.connection_flood,
           "each is told Server Busy and sees a clean end; open connections notice nothing",
           "{told} told, {lost} not, {told_per_second:.0f} a second",
           {"connections": 100, "flooders": 32, "told": 2000}, {"connections": 1000, "flooders": 64, "told": 20000},
           timed=True),
    Attack("connections", "stubborn", crowd.stubborn_crowd,
           "256 goodbyes at once, of 2 s each; nobody is forgotten",
           "{connections} who never close, {at_once} at once, the last told after {last_told_s:.1f} s",
           {"connections": 300}, {"connections": 2000}, timed=True),
    *(Attack("pipelining", f"{kind}-{connections}", crowd.pipelining, "one turn of each other client",
             "{connections} connections, {megabytes_per_second:.0f} MB/s, server busy {cpu_percent:.0f} %",
             {"connections": connections, "text": text}, {"connections": connections, "text": text}, targets,
             timed=True)
      for kind, text in (("lines", crowd.LINES), ("commands", crowd.COMMANDS))
      for connections, targets in ((16, PIPELINING), (64, PIPELINING), (256, MANY))),
    Attack("pipelining", "discard-16", crowd.pipelining, "one turn of each other client",
           "{connections} connections, {megabytes_per_second:.0f} MB/s, server busy {cpu_percent:.0f} %",
           {"connections": 16, "text": crowd.LINES, "role": "discard"},
           {"connections": 16, "text": crowd.LINES, "role": "discard"}, PIPELINING, timed=True),
    Attack("udp", "forged", datagrams.forged_sources,
           "32768 peers; memory does not grow; TCP is served",
           "{heard} sources heard, {sent} sent, in {seconds:.0f} s: RSS {rss_before_kb:.0f} KiB and {rss_grown_kb:.0f} "
           "more",
           {"heard": 50_000}, {"heard": 10_000_000}, timed=True),
    Attack("udp", "amplification", datagrams.amplification,
           "100 answers a second that are longer than their questions",
           "{answered} of {heard} answered in {seconds:.1f} s: {factor:.4f} bytes for each byte",
           {"heard": 20_000}, {"heard": 1_000_000}, timed=True),
    *(Attack("udp", f"trains-{kind}", datagrams.trains, "one turn of each other client",
             "{answered_per_second:.0f} answered a second, {dropped_per_second:.0f} not, server busy {cpu_percent:.0f} %",
             {"text": text}, {"text": text}, PIPELINING, timed=True)
      for kind, text in (("echoes", "x" * 20), ("commands", "/" + "x" * 19))),
    Attack("udp", "reflected", datagrams.reflection,
           "no answer where it would do harm, one at most elsewhere",
           "{asked} asked, {from_harm} answered where it would do harm, {most} at most to one, {longer} longer",
           {"hosts": BOTH}, {"hosts": BOTH}),
    Attack("udp", "looped", datagrams.loops,
           "an exchange between two servers ends with the hop limit",
           "{kinds} kinds with {hops} hops: {longest} datagrams at most",
           {"hosts": BOTH, "hops": 32}, {"hosts": BOTH, "hops": 255}),
    Attack("faults", "forged", misbehaving.forged_delays,
           "1024 delayed datagrams; of one too many the one that would wait longest is dropped; memory does not grow",
           "{heard} delays of an hour heard; {answers} of 50 ms answered, which were asked for {asked} times; RSS "
           "{rss_grown_kb:.0f} KiB more",
           {"heard": 20_000, "answers": 5}, {"heard": 2_000_000, "answers": 20}, timed=True),
    Attack("faults", "hours", misbehaving.hours,
           "220 bytes of the process for each that waits, a short line included; nobody wakes it up",
           "{connections} that wait for an hour: {each_bytes:.0f} bytes each",
           {"connections": 1000}, {"connections": 10000}, timed=True),
    *(Attack("faults", variant, misbehaving.unread, "process: 133 KiB each; nobody wakes it up",
             "{connections} of them: {process_kb:.0f} KiB of the process each",
             {"connections": 50, "text": text}, {"connections": 1000, "text": text}, timed=True)
      for variant, text in (("bytes", misbehaving.BYTES), ("pauses", misbehaving.PAUSE))),
    Attack("faults", "drips", misbehaving.drips, "one send for each byte; all come, and others are served",
           "{connections} of them, a byte each millisecond, server busy {cpu_percent:.0f} %",
           {"connections": 20, "count": 200}, {"connections": 256, "count": 4000}, timed=True),
    Attack("token", "guesses", guessing.guesses,
           "five examined a minute",
           "{examined} of {guesses} examined in {seconds:.0f} s",
           {"connections": 4, "seconds": 1}, {"connections": 4, "seconds": 62}, timed=True),
    Attack("token", "time", lambda polite: guessing.constant_time(),
           "no branch and no address depends on the token",
           "valgrind: {own_errors} errors in {guesses} guesses; {memcmp_errors} with memcmp instead, "
           "{length_errors} with a look at the length first", {}, {}),
    *(Attack("log", name, logflood.log_flood,
             "20 lines a second that clients cause; what is dropped is counted",
             "{events} events, {lines} lines in {seconds:.1f} s",
             {"verbosity": verbosity, "turned_away": 1000}, {"verbosity": verbosity, "turned_away": most},
             timed=verbosity == "-vv")
      for name, verbosity, most in (
          ("default", "", 2000), ("verbose", "-v", 20000), ("debug", "-vv", 20000))),
    Attack("bytes", "all", everybyte.every_byte,
           "answered as the contract says; nothing of it in the log",
           "{messages} messages", {}, {}),
]
