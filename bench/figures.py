"""Figures made of runs: medians with their spread, ratios taken round by round, and the CSV."""

import csv
import dataclasses
import math
import statistics

import matrix

COLUMNS = ["server", "load", "metric", "median", "low", "high", "runs"]


@dataclasses.dataclass(frozen=True)
class Figure:
    median: float
    low: float
    high: float
    runs: int

    def covers(self, value):
        """Whether VALUE lies within the spread."""
        return self.low <= value <= self.high


def figure(values):
    return Figure(statistics.median(values), min(values), max(values), len(values))


class Runs:
    """The values of single runs, by server, load, metric and round. LOADS are those that are measured:
    a mean that lacks one of them is none. Without them it is a mean of whatever there is."""

    def __init__(self, loads=None, servers=None):
        self.values = {}
        self.loads = loads
        self.servers = servers or matrix.SERVERS

    def add(self, server, load, round_, values):
        for metric, value in values.items():
            if value is not None:
                self.values.setdefault((server, load, metric), {})[round_] = value

    def rounds(self, server, load, metric):
        return self.values.get((server, load, metric), {})

    def ratio(self, above, below):
        """Two measurements, divided where they stand side by side: noise of minutes cancels out."""
        a, b = self.rounds(*above), self.rounds(*below)
        return {round_: a[round_] / b[round_] for round_ in a if b.get(round_)}

    def mean_ratio(self, above, below, metric):
        """The geometric mean of two servers' ratio over the TCP loads that both can take, of the rounds in
        which none of them is missing."""
        both = [server for server in self.servers if server.name in (above, below)]
        ratios = [self.ratio((above, load.name, metric), (below, load.name, metric))
                  for load in self.loads or matrix.LOADS
                  if load.mean and all(matrix.fits(server, load) for server in both)]
        if not self.loads:
            ratios = [ratio for ratio in ratios if ratio]
        if not ratios:
            return {}
        rounds = set.intersection(*(set(ratio) for ratio in ratios))
        return {round_: math.exp(statistics.fmean(math.log(ratio[round_]) for ratio in ratios))
                for round_ in rounds}

    def derived(self):
        """Every ratio that the report or a document may want, under names of its own."""
        names = {server for server, _, _ in self.values}
        for server in names:
            for idle in ("idle-10000", "idle-18000"):
                yield (server, f"{idle}/idle-0", "cpu_us"), self.ratio(
                    (server, idle, "cpu_us"), (server, "idle-0", "cpu_us"))
        for load in {load for _, load, _ in self.values}:
            yield ("bench/epoll-echo", load, "cpu_us"), self.ratio(
                (matrix.SUBJECT, load, "bench_cpu_us"), (matrix.SUBJECT, load, "cpu_us"))
            for pair in self._pairs(names):
                for metric in ("cpu_us", "rss_bytes", "p99_us"):
                    yield ("/".join(pair), load, metric), self.ratio(
                        (pair[0], load, metric), (pair[1], load, metric))
        for pair in self._pairs(names):
            yield ("/".join(pair), "tcp-mean", "cpu_us"), self.mean_ratio(*pair, "cpu_us")
        yield from self._entering()

    def _entering(self):
        """What entering the kernel takes of a message: the calls of a run of its own, each at the price of one
        that does nothing."""
        costs = self.rounds("machine", "all", "call_ns")
        for (server, load, metric), counted in list(self.values.items()):
            if metric != "calls" or not costs:
                continue
            us = statistics.median(counted.values()) * statistics.median(costs.values()) / 1000
            yield (server, load, "calls_us"), {0: us}
            yield (server, load, "calls_percent"), {
                round_: 100 * us / cpu for round_, cpu in self.rounds(server, load, "cpu_us").items() if cpu}

    @staticmethod
    def _pairs(names):
        for subject in matrix.OWN:
            for other in names - {subject}:
                if subject in names:
                    yield subject, other
                    yield other, subject

    def figures(self):
        all_ = dict(self.values)
        all_.update((key, values) for key, values in self.derived() if values)
        return {key: figure(list(values.values())) for key, values in all_.items()}


def call_sentence(known):
    """What is said beside ratios: what a system call costs on the machine of a run. Nothing if that was not measured."""
    cost = known.get(("machine", "all", "call_ns"))
    if cost is None:
        return ""
    return f"A system call that does nothing took {cost.median:.0f} ns there ({cost.low:.0f} to {cost.high:.0f})."


def short(number):
    return f"{number:.6g}"


def write(path, figures):
    with open(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for key in sorted(figures):
            f = figures[key]
            table.writerow([*key, short(f.median), short(f.low), short(f.high), f.runs])


def read(path):
    with open(path, newline="") as file:
        return {(row["server"], row["load"], row["metric"]):
                Figure(float(row["median"]), float(row["low"]), float(row["high"]), int(row["runs"]))
                for row in csv.DictReader(file)}
