#!/usr/bin/python3
"""Writes index.html from results.csv and machine.json: one page that needs nothing else.

Usage: report.py DIRECTORY
"""

import html
import json
import shutil
import subprocess
import sys
from pathlib import Path

import figures
import matrix

NOISE = {"probe": 1.15, "foreign_percent": 5.0, "steal_percent": 2.0}
COLOURS = ["#c1121f", "#1f5aa6", "#2a9d4a", "#e08e0b", "#7b3fa0", "#13828c", "#8a6d3b", "#d6479a", "#555555"]
PERCENTILES = [("50", "p50_us"), ("90", "p90_us"), ("99", "p99_us"), ("99.9", "p999_us"), ("max", "max_us")]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 72rem;
       margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } td.text { text-align: left; }
.spread { color: #666; font-size: .8em; white-space: nowrap; display: block; }
.reached { color: #17702f; } .missed { color: #b00020; } .open { color: #7a5b00; }
.subject { background: #fff5f2; }
.warning { border-left: .3rem solid #e08e0b; background: #fff8ea; padding: .5rem 1rem; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; } .wide { overflow-x: auto; }
figcaption { color: #444; font-size: .9em; }
"""


def colour_of(name):
    """The same in every picture, whoever is missing in it."""
    return COLOURS[[server.name for server in matrix.SERVERS].index(name) % len(COLOURS)]


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.3f}"


def cell(figure):
    if figure is None:
        return "<td>–</td>"
    spread = f'<span class="spread">{number(figure.low)} … {number(figure.high)}</span>' if figure.runs > 1 else ""
    return f"<td>{number(figure.median)}{spread}</td>"


class Report:
    def __init__(self, directory):
        self.figures = figures.read(directory / "results.csv")
        self.machine = json.loads((directory / "machine.json").read_text())
        self.directory = directory
        self.pictures = 0
        # Of a run that does not say it, as many as there were of the figure that has most.
        self.rounds = self.machine.get("rounds") or max(
            (f.runs for (server, _, _), f in self.figures.items() if server != "machine"), default=0)

    def get(self, server, load, metric):
        return self.figures.get((server, load, metric))

    def servers(self, protocol="tcp"):
        return [server for server in matrix.SERVERS if server.protocol == protocol and
                any(key[0] == server.name for key in self.figures)]

    def loads(self, protocol="tcp"):
        return [load for load in matrix.LOADS if load.protocol == protocol and
                any(key[1] == load.name for key in self.figures)]

    # -- words

    def verdict(self, claim):
        """The figure, and whether it is reached, missed, or open: medians decide, but nothing counts as
        missed while the spread covers the bound, and nothing is decided by some of the rounds."""
        found = self.get(claim.server, claim.load, claim.metric)
        if found is None:
            return None, "open", "not measured"
        if found.runs < self.rounds:
            return found, "open", f"undecided; measured in {found.runs} of {self.rounds} rounds"
        bound = claim.most if claim.most is not None else claim.least
        reached = found.median <= bound if claim.most is not None else found.median >= bound
        covered = found.runs > 1 and found.low < found.high and found.covers(bound)
        text = "reached" if reached else "undecided" if covered else "missed"
        words = [text] + (["the spread covers the bound"] if covered else [])
        if "/" in claim.server + claim.load and bound != 1 and found.covers(1):
            words.append("the spread covers 1: no difference")
        return found, text if text != "undecided" else "open", "; ".join(words)

    def claims(self):
        rows = []
        for claim in matrix.CLAIMS:
            found, kind, text = self.verdict(claim)
            bound = f"at most {claim.most:g}" if claim.most is not None else f"at least {claim.least:g}"
            rows.append(f'<tr><td>{html.escape(claim.what)}</td><td>{bound}</td>{cell(found)}'
                        f'<td class="text {kind}">{text}</td></tr>')
        return ("<table><tr><th>What the figures must show</th><th>to reach</th><th>measured</th><th></th></tr>"
                + "".join(rows) + "</table>")

    def noise(self):
        words = []
        probe, foreign, stolen = (self.get("machine", "all", metric)
                                  for metric in ("probe_ms", "foreign_percent", "steal_percent"))
        if probe and probe.high > NOISE["probe"] * probe.median:
            words.append(f"a fixed piece of work took {number(probe.median)} ms in the middle and "
                         f"{number(probe.high)} ms at worst")
        if foreign and foreign.median > NOISE["foreign_percent"]:
            words.append(f"other programs took {foreign.median:.0f} % of the CPU time "
                         f"(up to {foreign.high:.0f} %)")
        if stolen and stolen.median > NOISE["steal_percent"]:
            words.append(f"the host took {stolen.median:.0f} % away")
        again, calm = "", self.machine.get("calm_percent")
        if calm is not None:
            again = (f" Runs in which others took more than {calm:g} % were made again: "
                     f"{self.machine['disturbed']}.")
        if not words:
            return f"<p>The machine was quiet: the speed probe beside the runs hardly moved.{again}</p>"
        return ('<p class="warning"><b>This machine was noisy</b>: ' + "; ".join(words) + f".{again} "
                "Ratios are taken between runs of the same round; what lies within the spread is no difference.</p>")

    def missing(self):
        made, wanted = self.machine.get("runs_made", 0), self.machine.get("runs_wanted", 0)
        if made == wanted:
            return ""
        return (f'<p class="warning"><b>Incomplete</b>: {made} of {wanted} runs were made. What was not measured in '
                "every round is undecided.</p>")

    def machine_words(self):
        m = self.machine
        virtual = "virtual machine" if m["virtual"] else "real machine"
        return (f"<p>{html.escape(m['cpu'])}, {m['cores']} cores, {m['memory_gb']} GB, {virtual}; "
                f"Linux {html.escape(m['kernel'])}; {html.escape(m['compiler'])}; "
                f"commit {html.escape(m['commit'])}; {m['date']}. The server ran on core {m['server_core']}, "
                f"the load on core {m['load_core']}, in every second round the other way round; "
                f"{self.rounds} rounds, {m['seconds_per_run']} s a run"
                + (f"; the order of servers by seed {m['seed']}" if "seed" in m else "") + ".</p>")

    def gaps(self):
        m = self.machine
        items = [f"<b>{html.escape(name)}</b> is left out: {html.escape(why)}" for name, why in m["left_out"].items()]
        items += [html.escape(trouble) for trouble in m["troubles"]]
        if not m["powercap"]:
            items.append("Energy was not measured: /sys/class/powercap cannot be read on this machine.")
        items += [f"{html.escape(server.name)} was not given more than {server.most:,} connections."
                  for server in self.servers() if server.most < 20000]
        return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"

    # -- tables

    def table(self, metric, protocol="tcp", title=None):
        loads = [load for load in self.loads(protocol)
                 if any(self.get(server.name, load.name, metric) for server in self.servers(protocol))]
        if not loads:
            return ""
        head = "".join(f'<th title="{html.escape(load.what)}">{load.name}</th>' for load in loads)
        rows = []
        for server in self.servers(protocol):
            cells = "".join(cell(self.get(server.name, load.name, metric)) for load in loads)
            kind = ' class="subject"' if server.name in (matrix.SUBJECT, matrix.UDP_SUBJECT) else ""
            rows.append(f'<tr{kind}><td title="{html.escape(server.what)}">{server.name}</td>{cells}</tr>')
        unit = title or matrix.METRICS[metric][0]
        return (f'<h3>{html.escape(unit)}</h3><div class="wide"><table><tr><th></th>{head}</tr>'
                + "".join(rows) + "</table></div>")

    def sizes(self):
        rows = []
        for server in matrix.SERVERS:
            found = self.get(server.name, "binary", "bytes")
            if found and server.name != matrix.UDP_SUBJECT:
                rows.append(f"<tr><td>{server.name}</td><td>{found.median:,.0f}</td></tr>")
        return ("<h3>Bytes of the stripped binary, shared libraries apart</h3><table><tr><th></th><th>bytes</th></tr>"
                + "".join(rows) + "</table>")

    def glossary(self):
        servers = "".join(f"<li><b>{s.name}</b>: {html.escape(s.what)}</li>"
                          for s in self.servers() + self.servers("udp"))
        loads = "".join(f"<li><b>{load.name}</b>: {html.escape(load.what)} "
                        f"<code>{html.escape(load.options)}</code></li>"
                        for load in self.loads() + self.loads("udp"))
        return f"<h3>The servers</h3><ul>{servers}</ul><h3>The loads, as echo-bench's options</h3><ul>{loads}</ul>"

    # -- pictures

    def picture(self, name, caption, script, curves, style):
        """CURVES are (title, rows); each becomes a data block that gnuplot plots with STYLE."""
        curves = [(title, rows) for title, rows in curves if rows]
        if not curves:
            return ""
        if not shutil.which("gnuplot"):
            return f"<p class='warning'>{html.escape(caption)}: not drawn, for gnuplot is not installed.</p>"
        blocks, plots = [], []
        for i, (title, rows) in enumerate(curves):
            blocks.append(f"$d{i} << EOD\n" + "\n".join(" ".join(str(word) for word in row) for row in rows) + "\nEOD")
            colour, width = colour_of(title), 3 if title == matrix.SUBJECT else 1.5
            plots.append(f"$d{i} {style.format(colour=colour, width=width, title=title, i=i)}")
        program = "\n".join([
            "set terminal svg size 900,480 enhanced background '#ffffff' font 'sans-serif,13'", "set encoding utf8",
            "set grid lc rgb '#dddddd'", "set key outside right top noenhanced", *blocks, script,
            "plot " + ", ".join(plots)])
        done = subprocess.run(["gnuplot"], input=program, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"<p class='warning'>{html.escape(caption)}: gnuplot failed: {html.escape(done.stderr[:200])}</p>"
        self.pictures += 1
        return f'<figure id="{name}">{self.own_names(done.stdout)}<figcaption>{caption}</figcaption></figure>'

    def own_names(self, svg):
        """Several pictures in one page: what one calls gnuplot_plot_1 must not be another's."""
        svg = svg[svg.index("<svg"):]
        for mark in ('id="', 'url(#', 'href="#', "href='#", "id='"):
            svg = svg.replace(mark, f"{mark}p{self.pictures}_")
        return svg

    def idle_picture(self):
        curves = []
        for server in self.servers():
            rows = [(50 + idle, f.median, f.low, f.high) for idle in (0, 900, 1000, 10000, 18000)
                    if (f := self.get(server.name, f"idle-{idle}", "cpu_us"))]
            curves.append((server.name, rows))
        return self.picture(
            "picture-idle", "CPU per message of 50 active connections beside more and more idle ones: "
            "flat is O(1), rising is O(n). Both axes are logarithmic; bars are the spread.",
            "set logscale xy\nset xrange [40:25000]\nset xlabel 'connections open, 50 of them active'\n"
            "set ylabel 'µs of server CPU per message'\n"
            "set xtics ('50' 50, '950' 950, '1,050' 1050 1, '10,050' 10050, '18,050' 18050)",
            curves, "with yerrorlines lc rgb '{colour}' lw {width} pt 7 ps 0.5 title '{title}'")

    def latency_picture(self, load, name, caption):
        curves = []
        for server in self.servers():
            rows = [(i, f.median) for i, (_, metric) in enumerate(PERCENTILES)
                    if (f := self.get(server.name, load, metric))]
            curves.append((server.name, rows))
        tics = ", ".join(f"'{label}' {i}" for i, (label, _) in enumerate(PERCENTILES))
        return self.picture(
            name, caption, f"set logscale y\nset xrange [-0.2:4.2]\nset xtics ({tics})\nset xlabel 'percentile'\n"
            "set ylabel 'µs of latency'", curves,
            "with linespoints lc rgb '{colour}' lw {width} pt 7 ps 0.5 title '{title}'")

    def bars(self, name, caption, label, values, log=False):
        """One bar for each server, in its colour of the other pictures."""
        curves = []
        for i, server in enumerate(self.servers()):
            f = values(server)
            curves.append((server.name, [(i, f.median, f.low, f.high)] if f else []))
        tics = ", ".join(f"'{server.name}' {i}" for i, server in enumerate(self.servers()))
        scale = "set logscale y\nset yrange [1:*]" if log else "set yrange [0:0.01<*]"
        return self.picture(
            name, caption, f"{scale}\nset offsets 0, 0, graph 0.05, 0\nset boxwidth 0.6\nset style fill solid 0.7\nunset key\n"
            f"set xtics ({tics}) noenhanced\nset xrange [-0.6:{len(self.servers()) - 0.4}]\nset ylabel '{label}'",
            curves, "using 1:2 with boxes lc rgb '{colour}', $d{i} with yerrorbars lc rgb '#333333' pt 0")

    def memory_picture(self):
        return self.bars(
            "picture-memory", "Memory of the process for each idle connection (RSS; the kernel's own some 4 kB a "
            "connection are the same for all). Logarithmic; no bar is less than one byte.", "bytes per idle connection",
            lambda server: self.get(server.name, "idle-10000", "rss_bytes") or
            self.get(server.name, "idle-900", "rss_bytes"), log=True)

    def switches_picture(self):
        return self.bars(
            "picture-switches", "Context switches of the server per message, 50 connections with 1 message in "
            "flight: how often it goes to sleep and is woken.", "context switches per message",
            lambda server: self.get(server.name, "tcp-50", "switches"))

    def wakeups_picture(self):
        return self.bars(
            "picture-wakeups", "Wakeups per second of a server at rest, its idle connections open. "
            "No bar is none at all.", "wakeups per second",
            lambda server: self.get(server.name, "idle-10000", "wakeups") or
            self.get(server.name, "idle-900", "wakeups"))

    # -- all of it

    def page(self):
        parts = [
            "<h1>epoll-echo against other designs</h1>", self.machine_words(), self.noise(), self.missing(),
            self.claims(),
            f"<p>Figures are medians of {self.rounds} interleaved runs, with the lowest and the highest below. A ratio "
            "is taken between runs of the same round.</p>",
            "<h2>O(1) against O(n)</h2>", self.idle_picture(),
            "<h2>Memory</h2>", self.memory_picture(), self.table("rss_bytes"),
            "<h2>Sleeping and waking</h2>", self.switches_picture(), self.table("switches"),
            self.wakeups_picture(), self.table("wakeups"),
            "<h2>Latency</h2>",
            self.latency_picture("open-10000", "picture-latency-open",
                                 "Latency in an open loop of 10,000 messages a second, counted from the planned "
                                 "time of sending, so that no stall is hidden. Logarithmic."),
            self.latency_picture("tcp-50", "picture-latency", "Latency in a closed loop at full speed, 50 "
                                 "connections. Logarithmic."),
            self.table("p50_us", title="µs of latency, the median"), self.table("p99_us", title="µs of latency, the "
                                                                                "99th percentile"),
            "<h2>CPU per message</h2>", self.table("cpu_us"), self.table("bench_cpu_us"), self.table("rate"),
            "<h2>UDP</h2>", self.table("cpu_us", "udp"), self.table("rate", "udp"), self.table("p99_us", "udp",
                                                                                               "µs of latency, p99"),
            "<h2>Size</h2>", self.sizes(), "<h2>What is missing</h2>", self.gaps(),
            "<h2>What was measured how</h2>", self.glossary(),
        ]
        return ("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
                "<meta name='viewport' content='width=device-width'><title>epoll-echo: the benchmark</title>"
                f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n")


def write(directory):
    made = Report(Path(directory))
    (Path(directory) / "index.html").write_text(made.page())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
