"""The report: figures, verdicts, and a page whose pictures a browser shows."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from harness.daemon import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import figures  # noqa: E402
import matrix  # noqa: E402
import report  # noqa: E402
import run as bench_run  # noqa: E402

PICTURES = {"picture-idle", "picture-memory", "picture-switches", "picture-wakeups", "picture-latency",
            "picture-latency-open"}
MACHINE = {
    "date": "2026-01-02 03:04 UTC", "cpu": "A <CPU>", "cores": 2, "virtual": True, "memory_gb": 24.0,
    "kernel": "6.1", "compiler": "cc 12", "commit": "abc", "server_core": 0, "load_core": 1, "quick": False,
    "seconds_per_run": 1.0, "powercap": False, "left_out": {"io_uring": "no liburing.h"}, "troubles": [],
}


def invent(noisy=False):
    """Runs of three rounds in which every server is as dear as its name is long."""
    runs = figures.Runs()
    for round_ in range(3):
        for server in matrix.SERVERS:
            for load in matrix.LOADS:
                if server.protocol != load.protocol or load.connections > server.most or server.name == "io_uring":
                    continue
                cpu = len(server.name) + round_ / 10
                values = {"cpu_us": cpu, "bench_cpu_us": 1, "switches": 0.5, "rate": 1e5, "p50_us": 50, "p90_us": 90,
                          "p99_us": 200, "p999_us": 400, "max_us": 1000, "wakeups": 0}
                if load.name.startswith("idle"):
                    values["rss_bytes"] = 64 * len(server.name)
                runs.add(server.name, load.name, round_, values)
                if load.name in matrix.ALIASES:
                    runs.add(server.name, matrix.ALIASES[load.name], round_, values)
        runs.add("machine", "all", round_, {"probe_ms": 10 + (10 * round_ if noisy else 0), "foreign_percent": 0.5,
                                            "steal_percent": 0})
    return runs


@pytest.fixture
def place(tmp_path):
    figures.write(tmp_path / "results.csv", invent().figures())
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE))
    return tmp_path


@pytest.fixture
def page(place):
    if not shutil.which("gnuplot"):
        pytest.skip("gnuplot is not installed")
    report.write(place)
    return place / "index.html"


def test_medians_and_spread():
    runs = figures.Runs()
    for round_, value in enumerate([3.0, 1.0, 2.0]):
        runs.add("a", "l", round_, {"m": value})
    assert runs.figures()[("a", "l", "m")] == figures.Figure(2.0, 1.0, 3.0, 3)


def test_ratios_are_taken_round_by_round():
    """The machine is twice as slow in the second round: the ratio does not see it."""
    runs = figures.Runs()
    for round_, slow in enumerate([1, 2, 1.5]):
        runs.add("epoll-echo", "tcp-50", round_, {"cpu_us": 4.0 * slow})
        runs.add("poll", "tcp-50", round_, {"cpu_us": 5.0 * slow})
    found = runs.figures()[("epoll-echo/poll", "tcp-50", "cpu_us")]
    assert (found.low, found.high) == (pytest.approx(0.8), pytest.approx(0.8))


def test_geometric_mean():
    runs = figures.Runs()
    for load, cost in [("tcp-1", 2.0), ("tcp-50", 0.5), ("churn", 100.0)]:
        runs.add("epoll-echo", load, 0, {"cpu_us": cost})
        runs.add("epoll", load, 0, {"cpu_us": 1.0})
    assert runs.figures()[("epoll-echo/epoll", "tcp-mean", "cpu_us")].median == pytest.approx(1.0)


def test_a_mean_without_one_of_its_loads_is_none():
    loads = [load for load in matrix.LOADS if load.name in ("tcp-1", "tcp-50", "churn")]
    runs = figures.Runs(loads)
    for round_ in (0, 1):
        for server in ("epoll-echo", "epoll"):
            runs.add(server, "tcp-1", round_, {"cpu_us": 1.0})
    assert ("epoll-echo/epoll", "tcp-mean", "cpu_us") not in runs.figures()
    for server in ("epoll-echo", "epoll"):
        runs.add(server, "tcp-50", 1, {"cpu_us": 1.0})
    assert runs.figures()[("epoll-echo/epoll", "tcp-mean", "cpu_us")].runs == 1


def test_a_mean_needs_no_load_that_one_of_both_cannot_take():
    runs = figures.Runs(matrix.LOADS)
    for load in matrix.LOADS:
        for server in matrix.SERVERS:
            if matrix.fits(server, load):
                runs.add(server.name, load.name, 0, {"cpu_us": 1.0})
    assert ("epoll-echo/select", "tcp-mean", "cpu_us") in runs.figures()


def orders(seed):
    """The servers' orders, by load, of a whole run."""
    found = {}
    for round_, load, server in bench_run.work(bench_run.Plan(False, seed=seed), []):
        found.setdefault(load.name, {}).setdefault(round_, []).append(server.name)
    return found


def test_the_order_of_servers_is_drawn_by_a_seed():
    first = orders(1)
    assert first == orders(1) != orders(2)
    for load, rounds in first.items():
        assert len({tuple(sorted(order)) for order in rounds.values()}) == 1, load
    many = [order for rounds in first.values() for order in rounds.values() if len(order) > 5]
    # Nobody is always the first, and nobody always comes after the same one.
    assert len({order[0] for order in many}) > 4
    assert len({order[order.index("epoll-echo") - 1] for order in many}) > 4


@pytest.mark.parametrize("quick", [False, True])
def test_each_core_serves_as_often_as_the_other(quick):
    rounds = range(bench_run.Plan(quick).rounds)
    assert sorted(bench_run.cores_of(round_, (4, 7)) for round_ in rounds) == sorted([(4, 7), (7, 4)] * (len(rounds) // 2))


def test_csv_comes_back(place):
    found = figures.read(place / "results.csv")
    assert found[("epoll", "tcp-50", "cpu_us")] == figures.Figure(5.1, 5.0, 5.2, 3)
    assert (place / "results.csv").read_text().startswith("server,load,metric,median,low,high,runs\n")


@pytest.mark.parametrize("median,low,high,kind,words", [
    (0.9, 0.8, 0.95, "reached", "reached"),
    (0.9, 0.8, 1.01, "reached", "reached; the spread covers 1: no difference"),
    (1.0, 0.9, 1.1, "reached", "reached; the spread covers the bound; the spread covers 1: no difference"),
    (1.06, 1.02, 1.1, "open", "undecided; the spread covers the bound"),
    (1.2, 1.1, 1.3, "missed", "missed"),
])
def test_what_the_spread_covers_is_no_difference(place, median, low, high, kind, words):
    made = report.Report(place)
    made.figures[("epoll-echo/epoll", "tcp-mean", "cpu_us")] = figures.Figure(median, low, high, 3)
    assert made.verdict(matrix.CLAIMS[0])[1:] == (kind, words)


def test_what_was_not_measured_in_every_round_is_undecided(tmp_path):
    """Out of time after one round and a half, as by --minutes."""
    plan = bench_run.Plan(False)
    runs, done = figures.Runs(plan.loads()), 0
    for round_, load, server in bench_run.work(plan, []):
        done += 1
        if round_ == 1 and load.name.startswith("idle"):
            break
        for name in (load.name, matrix.ALIASES.get(load.name, load.name)):
            runs.add(server.name, name, round_, {metric: 0.0 if metric == "wakeups" else 1.0
                                                 for metric in matrix.METRICS})
    figures.write(tmp_path / "results.csv", runs.figures())
    (tmp_path / "machine.json").write_text(json.dumps({**MACHINE, "rounds": plan.rounds, "runs_made": done,
                                                       "runs_wanted": 500}))
    made = report.Report(tmp_path)
    for claim in matrix.CLAIMS:
        _, kind, words = made.verdict(claim)
        assert kind == "open", claim.what
        assert words == "not measured" or re.fullmatch(r"undecided; measured in [12] of 4 rounds", words)
    assert f"{done} of 500 runs were made" in made.missing()


def test_a_whole_run_misses_nothing(place):
    assert report.Report(place).missing() == ""


def test_documents_and_page_tell_the_same():
    """How many rounds there were, and whether the machine was quiet."""
    if not (ROOT / "bench/results/results.csv").exists():
        pytest.skip("no run is committed")
    made, readme = report.Report(ROOT / "bench/results"), (ROOT / "README.md").read_text()
    assert f"Medians of {made.rounds} interleaved rounds" in readme
    assert f"medians of {made.rounds} interleaved runs" in made.page()
    noisy = "noisy" in made.noise()
    assert ("calls it noisy" in readme, "calls it quiet" in readme) == (noisy, not noisy)
    how = (ROOT / "bench/README.md").read_text()
    assert (f"in {bench_run.Plan(False).rounds} rounds, in {bench_run.Plan(True).rounds} with `QUICK=1`"
            in how.replace("\n  ", " "))


def test_noise_is_told(place):
    assert "quiet" in report.Report(place).noise()
    figures.write(place / "results.csv", invent(noisy=True).figures())
    assert "noisy" in report.Report(place).noise()


def test_the_page_stands_alone_and_tells_what_is_missing(page):
    text = page.read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)""", text.replace("xmlns:xlink", ""))
    assert "<script" not in text
    assert "A &lt;CPU&gt;" in text
    assert "io_uring</b> is left out: no liburing.h" in text
    assert "Energy was not measured" in text
    ids = re.findall(r"""\bid=["']([^"']+)""", text)
    assert len(ids) == len(set(ids))


def test_without_gnuplot_the_page_says_so(place, monkeypatch):
    monkeypatch.setattr(report.shutil, "which", lambda name: None)
    report.write(place)
    assert "gnuplot is not installed" in (place / "index.html").read_text()


# Asks the browser for what it has laid out, and writes the answer where --dump-dom shows it.
ASK = """<script>addEventListener("load", () => {
    const seen = [...document.querySelectorAll("figure")].map(figure => {
        const svg = figure.querySelector("svg"), box = svg.getBoundingClientRect();
        const lines = [...svg.querySelectorAll("path")].filter(path => path.getTotalLength() > 0).length;
        return [figure.id, box.width, box.height, lines].join(" ");
    });
    document.body.innerHTML = "<pre>SEEN " + seen.join(";") + " END</pre>";
});</script></body>"""


def test_a_browser_shows_the_pictures(page, tmp_path):
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    asking = tmp_path / "asking.html"
    asking.write_text(page.read_text().replace("</body>", ASK))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([chromium, *options, asking.as_uri()], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "HOME": str(tmp_path)}, check=False)
    found = re.search(r"SEEN (.*) END", done.stdout)
    assert found, done.stdout[-500:] + done.stderr[-2000:]
    seen = {words.split()[0]: [float(word) for word in words.split()[1:]] for words in found[1].split(";")}
    assert set(seen) == PICTURES
    for name, (width, height, paths) in seen.items():
        assert width > 300 and height > 150 and paths > 10, name


def quotes(*words):
    return subprocess.run(["/usr/bin/python3", str(ROOT / "bench/quotes.py"), *map(str, words)], capture_output=True,
                          text=True, timeout=60, check=False)


@pytest.mark.parametrize("text,right", [
    ("<!--bench epoll tcp-50 cpu_us-->5.1<!--/bench-->", True),
    ("<!--bench epoll tcp-50 cpu_us-->5.10 µs<!--/bench-->", True),
    ("<!--bench epoll tcp-50 cpu_us-->5<!--/bench-->", True),
    ("<!--bench epoll tcp-50 rate-->100,000<!--/bench-->", True),
    ("<!--bench epoll tcp-50 cpu_us low-->5.0<!--/bench--> … <!--bench epoll tcp-50 cpu_us high-->5.2<!--/bench-->", True),
    ("no figures", True),
    ("<!--bench epoll tcp-50 cpu_us-->5.2<!--/bench-->", False),
    ("<!--bench epoll tcp-51 cpu_us-->5.1<!--/bench-->", False),
    ("<!--bench epoll tcp-50-->5.1<!--/bench-->", False),
    ("<!--bench epoll tcp-50 cpu_us-->about five<!--/bench-->", False),
    ("<!--bench epoll tcp-50 cpu_us-->5.1", False),
])
def test_quoted_figures_are_checked(place, text, right):
    document = place / "README.md"
    document.write_text(text)
    done = quotes("--check", f"--csv={place / 'results.csv'}", document)
    assert (done.returncode == 0) == right, done.stderr
    if not right:
        assert "README.md" in done.stderr


def test_quoted_figures_are_updated(place):
    document = place / "README.md"
    document.write_text("It takes <!--bench epoll tcp-50 cpu_us-->9.99 µs<!--/bench-->.\n")
    quotes("--update", f"--csv={place / 'results.csv'}", document)
    assert document.read_text() == "It takes <!--bench epoll tcp-50 cpu_us-->5.10 µs<!--/bench-->.\n"


def test_the_committed_run_is_quoted_right():
    if not (ROOT / "bench/results/results.csv").exists():
        pytest.skip("no run is committed")
    documents = [path for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")] if path.exists()]
    done = quotes("--check", *documents)
    assert done.returncode == 0, done.stderr


def test_every_claim_has_a_figure(place):
    made = report.Report(place)
    for claim in matrix.CLAIMS:
        assert made.verdict(claim)[0] is not None, claim.what
