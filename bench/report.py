#!/usr/bin/python3
"""Writes index.html from results.csv and machine.json: one page that needs nothing else.

Usage: report.py DIRECTORY
"""

import html
import json
import sys
from pathlib import Path

import chart
import figures
import matrix

NOISE = {"probe": 1.15, "foreign_percent": 5.0, "steal_percent": 2.0}
RUNS_MIN = 3  # of a figure, to decide by it
PERCENTILES = [(2, "50 %", "p50_us"), (10, "90 %", "p90_us"), (100, "99 %", "p99_us"), (1000, "99.9 %", "p999_us")]
IDLE = [0, 900, 1000, 10000, 18000]
# In colour; all others are grey.
COLOURS = {matrix.SUBJECT: "0", "epoll": "1", "poll": "2", matrix.UDP_SUBJECT: "0"}
# Metric, heading of its column, how it is written.
COLUMNS = [("cpu_us", "CPU a message", chart.duration), ("rate", "messages a second", chart.number),
           ("calls", "calls a message", chart.number), ("p50_us", "median latency", chart.duration), ("p99_us", "99th percentile", chart.duration),
           ("rss_bytes", "bytes an idle connection", chart.number), ("wakeups", "wakeups a second at rest", chart.number)]


def cell(figure, write=chart.number):
    if figure is None:
        return "<span class='open'>not measured</span>"
    spread = (f"<span class='spread'>{write(figure.low)} … {write(figure.high)}</span>" if figure.low < figure.high else "")
    return write(figure.median) + spread


def style_of(server):
    return COLOURS.get(server.name, "g")


class Report:
    def __init__(self, directory):
        self.figures = figures.read(directory / "results.csv")
        self.machine = json.loads((directory / "machine.json").read_text())
        self.all_servers = [*matrix.SERVERS, *matrix.builds(self.machine.get("builds", {}))]
        # Of a run that does not say it, as many as there were of the figure that has most.
        self.rounds = self.machine.get("rounds") or max(
            (f.runs for (server, _, _), f in self.figures.items() if server != "machine"), default=0)

    def get(self, server, load, metric):
        return self.figures.get((server, load, metric))

    def servers(self, protocol="tcp"):
        return [server for server in self.all_servers if server.protocol == protocol and
                any(key[0] == server.name and key[1] != "binary" for key in self.figures)]

    def loads(self, protocol="tcp"):
        return [load for load in matrix.LOADS if load.protocol == protocol and
                any(key[1] == load.name for key in self.figures)]

    # -- the three answers

    def verdict(self, claim):
        """The figure, and whether it is reached, missed, or open. Medians decide, but nothing counts as missed
        while the spread covers the bound, nothing is decided by some of the rounds or by fewer than three, and on
        a noisy machine only what all rounds agree on."""
        found = self.get(claim.server, claim.load, claim.metric)
        if found is None:
            return None, "open", "not measured"
        if found.runs < self.rounds:
            return found, "open", f"undecided; measured in {found.runs} of {self.rounds} rounds"
        if found.runs < RUNS_MIN:
            return found, "open", f"undecided; fewer than {RUNS_MIN} rounds"
        bound = claim.most if claim.most is not None else claim.least
        reached = found.median <= bound if claim.most is not None else found.median >= bound
        covered = found.low < found.high and found.covers(bound)
        noisy = covered and bool(self.noises())
        text = "undecided" if noisy else "reached" if reached else "undecided" if covered else "missed"
        words = [text] + (["the machine was noisy, and the spread covers the bound" if noisy else
                           "the spread covers the bound"] if covered else [])
        if "/" in claim.server + claim.load and bound != 1 and found.covers(1):
            words.append("the spread covers 1: no difference")
        return found, text if text != "undecided" else "open", "; ".join(words)

    def claims(self):
        kinds = {"reached": "good", "missed": "bad", "open": "open"}
        body = []
        for claim in matrix.CLAIMS:
            found, kind, text = self.verdict(claim)
            bound = f"≤ {claim.most:g}" if claim.most is not None else f"≥ {claim.least:g}"
            body.append([html.escape(claim.what), bound, cell(found), f"<span class='words {kinds[kind]}'>{text}</span>"])
        return chart.table(["", "to reach", "measured", "<span class='words'>verdict</span>"], body)

    def sentence(self):
        """The verdict: what idle connections cost, as far as that was measured, and how many claims hold."""
        words = ""
        for idle in (18000, 10000):
            own = self.get(matrix.SUBJECT, f"idle-{idle}/idle-0", "cpu_us")
            poll = self.get(f"poll/{matrix.SUBJECT}", f"idle-{idle}", "cpu_us")
            if own and poll:
                words = (f"With {idle:,} idle connections beside, a message costs epoll-echo {own.median:.2f} times what it "
                         f"costs with none, and poll(2) {poll.median:.0f} times as much as that"
                         + (", <span class='open'>as far as a noisy machine can tell</span>. " if self.noises() else ". "))
                break
        found = [(figure, kind) for figure, kind, _ in map(self.verdict, matrix.CLAIMS)]
        counts = [(sum(figure is not None and kind == wanted for figure, kind in found), style, text)
                  for wanted, style, text in (("reached", "good", "reached"), ("missed", "bad", "missed"),
                                              ("open", "open", "undecided"))]
        counts.append((sum(figure is None for figure, _ in found), "open", "not measured"))
        said = [f"<span class='{style}'>{count} {text}</span>" for count, style, text in counts if count]
        return f"<p class='verdict'>{words}Of {len(found)} things that the figures must show: {', '.join(said)}.</p>"

    def noises(self):
        """What made the machine unfit to tell small differences, in words."""
        words = []
        probe, foreign, stolen = (self.get("machine", "all", metric)
                                  for metric in ("probe_ms", "foreign_percent", "steal_percent"))
        if probe and probe.high > NOISE["probe"] * probe.median:
            words.append(f"a fixed piece of work took {chart.number(probe.median)} ms in the middle and "
                         f"{chart.number(probe.high)} ms at worst")
        if foreign and foreign.median > NOISE["foreign_percent"]:
            words.append(f"other programs took {foreign.median:.0f} % of the CPU time (up to {foreign.high:.0f} %)")
        if stolen and stolen.median > NOISE["steal_percent"]:
            words.append(f"the host took {stolen.median:.0f} % away")
        return words

    def noise(self):
        words, calm, again = self.noises(), self.machine.get("calm_percent"), ""
        if calm is not None:
            again = (f" Runs in which others took more than {calm:g} % were made again: "
                     f"{self.machine['disturbed']}.")
        if not words:
            return f"<p>The machine was quiet: the speed probe beside the runs hardly moved.{again}</p>"
        return ("<p><b class='open'>This machine was noisy</b>: " + "; ".join(words) + f".{again} Ratios are taken "
                "between runs of the same round; only what all rounds agree on is decided.</p>")

    def missing(self):
        made, wanted = self.machine.get("runs_made", 0), self.machine.get("runs_wanted", 0)
        if made == wanted:
            return ""
        return (f"<p><b class='open'>Incomplete</b>: {made} of {wanted} runs were made. What was not measured in "
                "every round is undecided.</p>")

    def machine_words(self):
        m = self.machine
        virtual = "virtual machine" if m["virtual"] else "real machine"
        return (f"<p>{html.escape(m['cpu'])}, {m['cores']} cores, {m['memory_gb']} GB, {virtual}; "
                f"Linux {html.escape(m['kernel'])}; {html.escape(m['compiler'])}; "
                f"commit {html.escape(m['commit'])}; {m['date']}. The server ran on core {m['server_core']}, "
                f"the load on core {m['load_core']}, in every second round the other way round"
                + (f"; the order of servers by seed {m['seed']}" if "seed" in m else "")
                + f". Each figure is the median of {self.rounds} interleaved rounds of {m['seconds_per_run']} s, with the "
                "lowest and the highest beside."
                + (" In a round the servers took turns of 30 ms, and a server's CPU for a message is the median of its "
                   "turns." if m.get("turns") else "") + "</p>")

    def call_words(self):
        """What the calls in a ratio cost here, and how that is known. Of an older run it is not."""
        cost = self.get("machine", "all", "call_ns")
        if not cost:
            return ""
        counted = any(metric == "calls" for _, _, metric in self.figures)
        return (f"<p id='call-cost'>{figures.call_sentence(self.figures)} Where a call costs more, whatever saves calls "
                "looks better, so a ratio holds for a machine where it costs about as much."
                + (" How many calls a message takes was counted in a run of its own (perf_event_open(2), the tracepoint "
                   "raw_syscalls:sys_enter); times the cost of the empty one they are what a message spends on entering "
                   "the kernel, and the rest is what is done there and in the program." if counted else "") + "</p>")

    def gaps(self):
        m = self.machine
        items = [f"<b>{html.escape(name)}</b> is left out: {html.escape(why)}" for name, why in m["left_out"].items()]
        items += [html.escape(trouble) for trouble in m["troubles"]]
        if m["quick"]:
            items.append("Of the servers and the loads, only those of the short form (QUICK=1).")
        if not m["powercap"]:
            items.append("Energy was not measured: /sys/class/powercap cannot be read on this machine.")
        items += [f"{html.escape(server.name)} was not given more than {server.most:,} connections."
                  for server in self.servers() if server.most < 20000]
        return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"

    # -- pictures

    def idle_picture(self, narrow, alone=False, names=()):
        """NAMES are those that are drawn, if not all are."""
        found = []
        for server in self.servers():
            points = [(50 + idle, f.median, f.low, f.high) for idle in IDLE
                      if (f := self.get(server.name, f"idle-{idle}", "cpu_us"))]
            if len(points) > 1 and (not names or server.name in names):
                # Whose line ends early has its name at the edge of the picture all the same.
                name = server.name + ("" if points[-1][0] > 10000 else f", to {points[-1][0]:,}")
                found.append(chart.Curve(name, style_of(server), points))
        ticks = [(50, "50"), (1050, "1,050"), (10050, "10,050"), (18050, "18,050")]
        cost = self.get("machine", "all", "call_ns") if alone else None
        title = "CPU time of the server for a message" + (f"; an empty system call: {cost.median:.0f} ns" if cost else "")
        axes = chart.Axes(title, "connections open, 50 of them active", ticks,
                          chart.tick_of, log_x=True)
        return chart.curves(axes, found, narrow, alone) if found else ""

    def latency_picture(self, load, narrow, alone=False, names=()):
        found = []
        for server in self.servers():
            points = [(x, f.median, f.low, f.high) for x, _, metric in PERCENTILES
                      if (f := self.get(server.name, load, metric))]
            if points and (not names or server.name in names):
                found.append(chart.Curve(server.name, style_of(server), points))
        axes = chart.Axes("Answered within", "of all messages", [(x, label) for x, label, _ in PERCENTILES],
                          chart.tick_of, log_x=True)
        return chart.curves(axes, found, narrow, alone) if found else ""

    def dots(self, title, narrow, label, *places):
        """A dot for each server, by the first of PLACES, load and metric, at which it was measured."""
        rows = []
        for server in self.servers():
            f = next((f for load, metric in places if (f := self.get(server.name, load, metric))), None)
            rows.append(chart.Row(server.name, style_of(server), *((f.median, max(f.low, 0), f.high, label(f.median))
                                                                   if f else (None,))))
        # RSS may shrink by a page or two: that is none.
        rows = [row if row.value is None or row.value > 0 else chart.Row(row.name, row.style, 0, 0, row.high, label(0))
                for row in rows]
        if not any(row.value for row in rows):
            return ""
        return chart.rows(title, rows, lambda value: f"{value:,.10g}", narrow)

    def picture(self, name, draw, caption, instead=""):
        return chart.both(draw, name, caption) if draw(False) else f"<p>{instead}</p>" if instead else ""

    def at_rest(self):
        """What is said in place of a picture in which all are 0."""
        return "No server woke up while its idle connections were open." if any(
            key[2] == "wakeups" for key in self.figures) else "Wakeups at rest were not measured."

    # -- tables

    def entering(self, server, load):
        """What the calls beside take of a message."""
        us, percent = (self.get(server.name, load.name, metric) for metric in ("calls_us", "calls_percent"))
        if not us or not percent:
            return ""
        return (f"<span class='spread'>entering the kernel: {chart.duration(us.median)} ({percent.median:.2g} %)</span>")

    def load_table(self, load):
        """One load: a server a line. What no server was measured by has no column."""
        servers = [server for server in self.servers(load.protocol) if matrix.fits(server, load)]
        # More than four do not fit a phone.
        left_out = (("rate", "p50_us") if any(self.get(s.name, load.name, "rss_bytes") for s in servers) else
                    ("p50_us",) if any(self.get(s.name, load.name, "calls") for s in servers) else ())
        columns = [column for column in COLUMNS if any(self.get(s.name, load.name, column[0]) for s in servers)
                   and column[0] not in left_out]
        body = [[html.escape(server.name)] + [cell(self.get(server.name, load.name, metric), write)
                                              + (self.entering(server, load) if metric == "calls" else "")
                                              for metric, _, write in columns] for server in servers]
        kinds = ["subject" if server.name in matrix.OWN else "" for server in servers]
        return (f"<h3>{html.escape(load.what[0].upper() + load.what[1:])}</h3>"
                f"<p class='note'><code>echo-bench {html.escape(load.options)}</code>"
                + (f", beside <code>echo-bench {html.escape(load.beside)}</code>" if load.beside else "") + "</p>"
                + chart.table(["", *(title for _, title, _ in columns)], body, kinds))

    def tables(self):
        return ("<details><summary>Every load, a table each</summary>"
                + "".join(map(self.load_table, self.loads() + self.loads("udp"))) + "</details>")

    def sizes(self):
        body = [[server.name, f"{found.median:,.0f}"] for server in self.all_servers
                if (found := self.get(server.name, "binary", "bytes"))
                and (server.name == matrix.SUBJECT or server.name not in matrix.OWN)]
        return chart.table(["", "bytes of the stripped binary, shared libraries apart"], body) if body else ""

    def glossary(self):
        servers = "".join(f"<li><b>{s.name}</b>: {html.escape(s.what)}</li>"
                          for s in self.servers() + self.servers("udp"))
        return f"<h2>The servers</h2><ul>{servers}</ul>"

    # -- all of it

    def page(self):
        latency = self.latency_picture
        parts = [
            "<h1>epoll-echo against other designs</h1>", self.sentence(),
            self.picture("picture-idle", self.idle_picture,
                         "What a message costs beside more and more idle connections: level is O(1), rising is O(n). Both "
                         "axes are logarithmic; bands are from the lowest to the highest round. Lower is better."),
            "<h2>Was the machine fit to tell?</h2><div class='panel'>", self.noise(), self.missing(), self.gaps(), "</div>",
            "<h2>What was measured</h2>", self.machine_words(),
            "<h2>What the figures have to show</h2>", self.call_words(),
            self.claims(),
            "<h2>A polite client beside a flood</h2>" if any(load.name == "flood" for load in self.loads()) else "",
            self.picture("picture-flood", lambda narrow: latency("flood", narrow),
                         "One client that sends 500 lines a second, while 16 others send as much as they can: within what "
                         "time its answers come. Logarithmic. Lower is better."),
            "<h2>What an idle connection costs</h2>",
            self.picture("picture-memory", lambda narrow: self.dots(
                "Bytes of the process for each idle connection", narrow, chart.number, ("idle-10000", "rss_bytes"),
                ("idle-900", "rss_bytes")), "RSS; the kernel's own some 4 kB a connection are the same for all. "
                "Logarithmic. Lower is better."),
            self.picture("picture-wakeups", lambda narrow: self.dots(
                "Wakeups a second at rest, idle connections open", narrow, chart.number, ("idle-10000", "wakeups"),
                ("idle-900", "wakeups")), "Logarithmic, and 0 apart on the left. Lower is better.", self.at_rest()),
            "<h2>How often the server goes to sleep</h2>",
            self.picture("picture-switches", lambda narrow: self.dots(
                "Context switches for a message, 50 connections", narrow, chart.number, ("tcp-50", "switches")),
                "With one message in flight on each. Logarithmic. Lower is better."),
            "<h2>Latency</h2>",
            self.picture("picture-latency-open", lambda narrow: latency("open-10000", narrow),
                         "In an open loop of 10,000 messages a second, from the planned time of sending, so that no stall "
                         "is hidden. Logarithmic. Lower is better."),
            self.picture("picture-latency", lambda narrow: latency("tcp-50", narrow),
                         "In a closed loop at full speed, 50 connections. Logarithmic. Lower is better."),
            "<h2>All figures</h2>", self.tables(), "<h2>Size</h2>", self.sizes(), self.glossary(),
        ]
        return chart.page("epoll-echo: the benchmark", parts)


def write(directory):
    made = Report(Path(directory))
    (Path(directory) / "index.html").write_text(made.page())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
