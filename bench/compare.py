#!/usr/bin/python3
"""Makes a page of what `echo-bench --json` has printed: one run, or several to compare.

    echo-bench-report A.json [B.json ...] -o page.html     the page, which opens offline and alone
    echo-bench-report A.json [B.json ...] --csv            every figure of every run, on standard output

A file holds one run, or the runs of --repeat. The first file is what the others are compared with, and is
called by its name without .json, as they are. A difference is said to be one only if there were three runs
of each and more, none of them disturbed, and their spreads (from six runs on, the 95 % confidence intervals
of their medians) have nothing in common.
"""

import argparse
import csv
import dataclasses
import html
import json
import math
import re
import statistics
import sys
from pathlib import Path

import chart

# Name, where it stands, what it is called, whether it is a time, and whether less is better (None: neither).
FIGURES = [
    ("rate", ("messages_per_second",), "messages a second", False, False),
    ("min", ("latency_us", "min"), "least latency", True, True),
    ("mean", ("latency_us", "mean"), "mean latency", True, True),
    ("p50", ("latency_us", "p50"), "median latency", True, True),
    ("p90", ("latency_us", "p90"), "latency, 90th percentile", True, True),
    ("p99", ("latency_us", "p99"), "latency, 99th percentile", True, True),
    ("p99.9", ("latency_us", "p999"), "latency, 99.9th percentile", True, True),
    ("p99.99", ("latency_us", "p9999"), "latency, 99.99th percentile", True, True),
    ("max", ("latency_us", "max"), "most latency", True, True),
    ("cpu", ("server", "cpu_us_per_message"), "CPU of the server for a message", True, True),
    ("switches", ("server", "context_switches_per_message"), "context switches for a message", False, True),
    ("rss", ("server", "rss_bytes_per_idle_connection"), "bytes for an idle connection", False, True),
    ("wakeups", ("server", "wakeups_per_second_at_rest"), "wakeups a second at rest", False, True),
    ("lateness", ("lateness_us", "p99"), "echo-bench late, 99th percentile", True, None),
    ("own_core", ("client", "core_percent"), "echo-bench, % of a core", False, None),
    ("errors", ("errors",), "errors", False, True),
    ("messages", ("messages",), "messages", False, None),
]
SHARES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "p99.99": 99.99}
BEYOND = 5  # messages beyond a percentile that is shown, as echo-bench itself has it
RUNS_MIN = 3  # of each, to tell a difference
LIMITS = {"others_percent": 10, "stolen_percent": 2}
SPREAD_WIDE = 10  # per cent
# What has to be alike, or the comparison is of two loads.
LOAD = ["protocol", "loop", "connections", "depth", "size", "idle", "rate", "churn", "verify"]
LATER = {"gso": False}  # the same, with what it was where no run tells it
SPOILED = ("behind", "late", "full core", "disturbed")


class Unusable(Exception):
    """A file that is none of echo-bench's; the message names it."""


def borne(share, messages):
    return (100 - share) / 100 * messages > BEYOND - 1e-6


def value_of(run, name, path):
    if name in SHARES and not borne(SHARES[name], run["messages"]):
        return None
    for key in path:
        run = run.get(key) if run is not None else None
    return run


def left_out(count):
    """How many of COUNT sorted values may go at each end so that the median lies between the rest with 95 %
    confidence, whatever the distribution; -1 if not even all of them will do."""
    beyond, out = 0, -1
    for i in range(count):
        beyond += math.comb(count, i) / 2 ** count
        if 2 * beyond > 0.05:
            break
        out = i
    return out


@dataclasses.dataclass
class Spread:
    median: float
    low: float
    high: float
    sure: tuple  # where the median is: a confidence interval, or the spread where runs are too few
    runs: int

    def percent(self):
        return 100 * (self.high - self.low) / self.median if self.median else 0


def spread_of(values):
    values = sorted(values)
    out = max(left_out(len(values)), 0)
    return Spread(statistics.median(values), values[0], values[-1], (values[out], values[-1 - out]), len(values))


class Measurement:
    """The runs of one file."""

    def __init__(self, path):
        try:
            content = json.loads(Path(path).read_text())
            self.runs = content.get("runs", [content])
            self.first = self.runs[0]
            self.name = Path(path).stem
            self.figures = {name: self._figure(name, where) for name, where, *_ in FIGURES}
            self.load = {key: self.first[key] for key in LOAD} | {key: self.first.get(key, LATER[key]) for key in LATER}
            self.timelines = [run["timeline"] for run in self.runs]
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{path}: {error}") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Unusable(f"{path}: not what echo-bench --json prints") from error

    def _figure(self, name, where):
        values = [value_of(run, name, where) for run in self.runs]
        return None if any(value is None for value in values) else spread_of(values)

    def disturbances(self):
        """What makes these runs unfit to tell a small difference, in words."""
        found = []
        machine = [run["machine"] for run in self.runs]
        known = "server" in self.first
        others = [m["others_percent"] for m in machine if known and m["others_percent"] is not None]
        stolen = [m["stolen_percent"] for m in machine if m["stolen_percent"] is not None]
        if others and max(others) > LIMITS["others_percent"]:
            found.append(f"other programs took up to {max(others):.0f} % of the machine")
        if stolen and max(stolen) > LIMITS["stolen_percent"]:
            found.append(f"its host took up to {max(stolen):.0f} % away")
        said = {warning.split(":")[0] for run in self.runs for warning in run["warnings"]}
        words = {"behind": "the load fell behind its plan", "late": "echo-bench itself was late",
                 "full core": "echo-bench filled its core"}
        found += [words[kind] for kind in SPOILED if kind in said and kind in words]
        return found

    def what(self):
        """The load in words."""
        load = self.load
        words = [f"{load['connections']:,} {load['protocol'].upper()} connections",
                 f"{load['depth']} in flight on each" if load["depth"] > 1 else "one message in flight on each",
                 f"{load['size']:,} bytes a message"]
        if load["gso"]:
            words.append("in trains")
        if load["churn"]:
            words.append("a new connection for each message")
        if load["idle"]:
            words.append(f"{load['idle']:,} idle connections beside")
        loop = (f"open loop of {load['rate']:,} messages a second, latency from the planned time" if load["rate"]
                else "closed loop, each answer sends the next message")
        return ", ".join(words) + "; " + loop


@dataclasses.dataclass
class Comparison:
    """Figure NAME of two measurements."""
    name: str
    kind: str  # good, bad, none, open: better, worse, no difference, undecided
    ratio: float
    low: float
    high: float
    why: str

    def words(self):
        percent = 100 * (self.ratio - 1)
        return f"{percent:+.0f} %" if abs(percent) >= 1 else f"{percent:+.1f} %"


def compare(name, less_is_better, base, other):
    """None where one of both was not measured, or is 0."""
    a, b = base.figures[name], other.figures[name]
    if not a or not b or a.median == 0 or a.low <= 0:
        return None
    ratio = b.median / a.median
    low, high = b.sure[0] / a.sure[1], b.sure[1] / a.sure[0]
    disturbed = base.disturbances() + other.disturbances()
    if less_is_better is None:
        kind, why = "open", ""
    elif min(a.runs, b.runs) < RUNS_MIN:
        kind, why = "open", f"undecided: fewer than {RUNS_MIN} runs"
    elif disturbed:
        kind, why = "open", "undecided: disturbed"
    elif low <= 1 <= high:
        close = 0.95 <= low and high <= 1.05
        kind, why = "none", "no difference" if close else "no difference can be told"
    else:
        better = (ratio < 1) == less_is_better
        kind, why = ("good", "better") if better else ("bad", "worse")
    return Comparison(name, kind, ratio, low, high, why)


def text(words):
    return html.escape(str(words))


def options(words):
    """WORDS in which no option is torn in two."""
    return re.sub(r"(--[a-z]+)", r"<span class='option'>\1</span>", words)


def shown(name, value):
    is_time = next(time for figure, _, _, time, _ in FIGURES if figure == name)
    return chart.duration(value) if is_time else chart.number(value)


class Page:
    def __init__(self, measurements):
        self.all = measurements
        self.base, self.others = measurements[0], measurements[1:]

    # -- the three answers

    def verdict(self):
        return " ".join([self._about(self.base)] if not self.others else
                        [self._against(other) for other in self.others])

    def _about(self, m):
        rate, p50, p99 = (m.figures[name] for name in ("rate", "p50", "p99"))
        if not rate:
            return f"<b>{text(m.name)}</b>: no message was answered."
        words = f"<b>{text(m.name)}</b> answered {chart.number(rate.median)} messages a second"
        if p99:
            words += f", half of them within {chart.duration(p50.median)} and 99 of 100 within {chart.duration(p99.median)}"
        if m.figures["errors"] and m.figures["errors"].high:
            words += f"; <span class='bad'>there were up to {m.figures['errors'].high:,.0f} errors</span>"
        disturbed = self.base.disturbances()
        return words + "." + (f" <span class='open'>Doubtful: {text('; '.join(disturbed))}.</span>" if disturbed else "")

    def _against(self, other):
        """In one sentence: how fast, then how much, of what was asked for."""
        a, b = text(self.base.name), text(other.name)
        names = ["p99", "p50"] if self.base.load["rate"] else ["rate", "p99"]
        found = [self.compared(name, other) for name in names]
        found = [one for one in found if one]
        titles = {"rate": "messages a second", "p99": "99th percentile of latency", "p50": "median latency"}
        if not found:
            return f"<b>{b}</b> and <b>{a}</b> have no figure in common that could be compared."
        if all(one.kind == "open" for one in found):
            return (f"<span class='open'>Undecided</span> whether <b>{b}</b> is better than <b>{a}</b>: "
                    + "; ".join(dict.fromkeys(self._reasons(other))) + ".")
        words = []
        for one in found:
            title = titles[one.name]
            if one.kind in ("good", "bad"):
                amount = f"{abs(100 * (one.ratio - 1)):.0f} % {'more' if one.ratio > 1 else 'less'}"
                low, high = sorted(abs(100 * (end - 1)) for end in (one.low, one.high))
                words.append(f"<span class='{one.kind}'>{one.why}</span> in {title} ({amount}; between {low:.0f} "
                             f"and {high:.0f} %)")
            else:
                words.append(f"{one.why} in {title}" + ("" if one.why == "no difference" else f" ({one.words()})"))
        return f"<b>{b}</b> against <b>{a}</b>: " + ", ".join(words) + "."

    def _reasons(self, other):
        for m in (self.base, other):
            if len(m.runs) < RUNS_MIN:
                yield f"there {'was 1 run' if len(m.runs) == 1 else f'were {len(m.runs)} runs'} of {text(m.name)}"
            for why in m.disturbances():
                yield f"{why} ({text(m.name)})"

    def compared(self, name, other):
        less = next(less for figure, *_, less in FIGURES if figure == name)
        return compare(name, less, self.base, other)

    def what(self):
        parts = ["<h2>What was measured</h2>"]
        loads = [m.load for m in self.all]
        for i, m in enumerate(self.all):
            run, machine = m.first, m.first["machine"]
            count = "1 run" if len(m.runs) == 1 else f"{len(m.runs)} runs"
            parts.append(f"<p><b>{text(m.name)}</b>: {text(run['server_address'])}, {text(run['date'][:16].replace('T', ' '))} "
                         f"UTC; {count} of {run['seconds']:.3g} s; {machine['cores']} cores, Linux "
                         f"{text(machine['kernel'])}; echo-bench {text(run['version'])}."
                         + (f" {text(m.what())}." if i == 0 or m.load != loads[0] else "") + "</p>")
        differ = sorted({key for load in loads for key in load if load[key] != loads[0][key]})
        if differ:
            parts.append(f"<p class='bad'>These are different loads: {text(', '.join(differ))} differ.</p>")
        return "".join(parts)

    def fitness(self):
        lines = []
        for m in self.all:
            found = m.disturbances()
            wide = [name for name in ("rate", "p50", "p99") if m.figures[name] and m.figures[name].percent() > SPREAD_WIDE]
            if "server" not in m.first:
                found.append("whether other programs were at work is not known (--pid tells)")
            if len(m.runs) < RUNS_MIN:
                found.append("how far such runs differ is not known (--repeat tells)")
            elif wide:
                found.append("the runs differ by more than 10 % in " + " and ".join(wide))
            lines.append(f"<p><b>{text(m.name)}</b>: " + ("fit: nobody else was at work, and the runs agree within 10 %"
                                                          if not found else options(text("; ".join(found)))) + ".</p>")
        return "<h2>Was the machine fit to tell?</h2><div class='panel'>" + "".join(lines) + "</div>"

    # -- pictures

    def percentiles(self):
        """Where each line ends is where its messages are too few."""
        all_curves = []
        for i, m in enumerate(self.all):
            last = max((share for share in SHARES.values() if all(borne(share, run["messages"]) for run in m.runs)),
                       default=0)
            tables = [dict(map(tuple, run["distribution"])) for run in m.runs]
            shares = [share for share in tables[0] if share <= max(last, 50) and all(share in t for t in tables)]
            points = [(100 / (100 - share), *self._band([t[share] for t in tables])) for share in sorted(shares)]
            if points:
                all_curves.append(chart.Curve(m.name, str(i % 4), points))
        if not all_curves:
            return ""
        ticks = [(100 / (100 - share), label) for share, label in
                 [(0, "least"), (50, "50 %"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %")]]
        axes = chart.Axes("Answered within", "of all messages", ticks, chart.tick_of, log_x=True)
        band = " The band is from the lowest to the highest run." if any(len(m.runs) > 1 for m in self.all) else ""
        return chart.both(lambda narrow: chart.curves(axes, all_curves, narrow), "picture-percentiles",
                          f"Latency by percentile; logarithmic. {band} Lower is better.")

    @staticmethod
    def _band(values):
        return (statistics.median(values), min(values), max(values)) if len(values) > 1 else (values[0],)

    def _over_time(self, of):
        """A curve for each file: OF an interval, by its middle; those of repeated runs side by side."""
        for i, m in enumerate(self.all):
            points = []
            for parts in zip(*m.timelines):
                values = [of(part) for part in parts]
                if None not in values:
                    points.append(((parts[0]["began"] + parts[0]["ended"]) / 2, *self._band(values)))
            if len(points) > 1:
                yield chart.Curve(m.name, str(i % 4), points)

    def timeline(self):
        rate = list(self._over_time(lambda part: part["messages"] / ((part["ended"] - part["began"]) or 1)))
        slow = list(self._over_time(lambda part: part.get("p99_us")))
        if not rate or not slow:
            return ""
        end = max(curve.points[-1][0] for curve in rate)
        ticks = [(value, f"{value:g} s") for value in chart.Scale(0, end, 0, 1).ticks(6)]
        above = chart.Axes("Messages a second", "since the start", ticks, lambda v: f"{v / 1000:g}k" if v >= 1000 else f"{v:g}",
                           log_y=False, x_range=(0, end))
        below = chart.Axes("99th percentile of latency", "since the start", ticks, chart.tick_of, x_range=(0, end))
        return ("<h2>How the run went</h2>"
                + chart.both(lambda narrow: chart.curves(above, rate, narrow), "picture-rate",
                             "Answers a second, from one part of the run to the next.")
                + chart.both(lambda narrow: chart.curves(below, slow, narrow), "picture-latency",
                             "The 99th percentile of each part; logarithmic."))

    def ratios(self):
        """Each figure against the first file's, which is 1."""
        parts = []
        for number, other in enumerate(self.others, 1):
            found = [(title, self.compared(name, other)) for name, _, title, _, less in FIGURES
                     if less is not None and name not in ("errors", "min", "mean")]
            rows = [chart.Row(title, {"good": str(number % 4), "bad": str(number % 4)}.get(one.kind, "o"), one.ratio,
                              one.low, one.high, one.words() + ("" if one.kind in ("good", "bad") else
                                                                 ", no difference" if one.kind == "none" else ", undecided"))
                    for title, one in found if one]
            if not rows:
                continue
            name = f"{other.name} against {self.base.name}"
            parts.append(chart.both(lambda narrow, rows=rows, name=name: chart.rows(
                name, [dataclasses.replace(row, name=short(row.name) if narrow else row.name,
                                           words=row.words.split(",")[0] if narrow else row.words) for row in rows],
                lambda value: f"{value:g} ×", narrow, mark=1), f"picture-ratio-{number}",
                "Dots are medians, lines reach as far as the runs allow. Grey is what is no difference, or undecided."))
        return "<h2>Compared</h2>" + "".join(parts) if parts else ""

    # -- tables

    def table(self):
        head = ["", *(text(m.name) for m in self.all), *(f"{text(m.name)} is" for m in self.others)]
        body = []
        for name, _, title, _, less in FIGURES:
            if not any(m.figures[name] for m in self.all):
                continue
            cells = [self._cell(name, m.figures[name]) for m in self.all]
            for other in self.others:
                one = compare(name, less, self.base, other)
                kind = one.kind if one and one.kind in ("good", "bad") else "open"
                cells.append("–" if not one or less is None else
                             f"<span class='{kind}'>{one.words()}<span class='spread'>{one.why}</span></span>")
            body.append([title, *cells])
        return "<h2>All figures</h2>" + chart.table(head, body)

    @staticmethod
    def _cell(name, spread):
        if spread is None:
            return "–"
        ends = ("" if spread.low == spread.high else
                f"<span class='spread'>{shown(name, spread.low)} … {shown(name, spread.high)}</span>")
        return shown(name, spread.median) + ends

    def warnings(self):
        items = dict.fromkeys(f"<li><b>{text(m.name)}</b>: {text(warning)}</li>"
                              for m in self.all for run in m.runs for warning in run["warnings"])
        return f"<details><summary>What echo-bench warned of ({len(items)})</summary><ul>{''.join(items)}</ul></details>" if items else ""

    def html(self):
        title = (self.base.name if not self.others else
                 f"{', '.join(m.name for m in self.others)} against {self.base.name}")
        return chart.page(title, [
            f"<h1>{text(title)}</h1>", f"<p class='verdict'>{self.verdict()}</p>", self.fitness(), self.what(),
            "<h2>Latency</h2>" + self.percentiles(), self.ratios(), self.timeline(), self.table(), self.warnings(),
            "<p class='note'>Figures are medians of the runs, with the lowest and the highest below. One is said to be "
            f"better only if there are {RUNS_MIN} runs of each, nothing disturbed them, and their spreads (from 6 runs "
            "on the 95 % confidence intervals of the medians) have nothing in common. A percentile is shown where 5 "
            "messages lie beyond it.</p>"])


def short(title):
    """For a narrow window."""
    for long, brief in (("latency, ", ""), (" percentile", ""), ("CPU of the server for a message", "CPU a message"),
                        ("context switches for a message", "switches"), ("bytes for an idle connection", "idle bytes"),
                        ("messages a second", "rate"), ("wakeups a second at rest", "wakeups")):
        title = title.replace(long, brief)
    return title


def write_csv(measurements, file):
    """A line for each figure of each run; what was not measured has none."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["file", "run", "figure", "value"])
    for m in measurements:
        for number, run in enumerate(m.runs, 1):
            for name, where, *_ in FIGURES:
                value = value_of(run, name, where)
                if value is not None:
                    table.writerow([m.name, number, name, f"{value:.10g}"])


def main():
    parser = argparse.ArgumentParser(prog="echo-bench-report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="what echo-bench --json has printed")
    parser.add_argument("-o", "--output", type=Path, metavar="PAGE", help="where the page goes")
    parser.add_argument("--csv", action="store_true", help="print the figures of all runs")
    options = parser.parse_args()
    if not options.output and not options.csv:
        parser.error("neither -o PAGE nor --csv: nothing to do")
    try:
        measurements = [Measurement(path) for path in options.files]
        if options.output:
            options.output.write_text(Page(measurements).html())
        if options.csv:
            write_csv(measurements, sys.stdout)
            sys.stdout.flush()
    except (Unusable, OSError) as error:
        sys.exit(f"echo-bench-report: {error}")


if __name__ == "__main__":
    main()
