"""The report: figures, verdicts, and a page whose pictures a browser shows."""

import json
import re
import subprocess
import sys
import xml.dom.minidom

import pytest

from browser import look, photograph
from harness.daemon import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import figures  # noqa: E402
import matrix  # noqa: E402
import pictures  # noqa: E402
import report  # noqa: E402
import run as bench_run  # noqa: E402

PICTURES = {"picture-idle", "picture-flood", "picture-memory", "picture-switches", "picture-wakeups", "picture-latency",
            "picture-latency-open"}
MACHINE = {
    "date": "2026-01-02 03:04 UTC", "cpu": "A <CPU>", "cores": 2, "virtual": True, "memory_gb": 24.0,
    "kernel": "6.1", "compiler": "cc 12", "commit": "abc", "server_core": 0, "load_core": 1, "quick": False,
    "seconds_per_run": 1.0, "powercap": False, "left_out": {"io_uring": "no liburing.h"}, "troubles": [],
}


def invent(noisy=False, rounds=3):
    """Runs in which every server is as dear as its name is long."""
    runs = figures.Runs()
    for round_ in range(rounds):
        for server in matrix.SERVERS:
            for load in matrix.LOADS:
                if server.protocol != load.protocol or load.connections > server.most or server.name == "io_uring":
                    continue
                cpu = len(server.name) + round_ / 10
                values = {"cpu_us": cpu, "bench_cpu_us": 1, "switches": 0.5, "rate": 1e5, "p50_us": 50, "p90_us": 90,
                          "p99_us": 200, "p999_us": 400, "max_us": 1000, "wakeups": 0 if server.name != "thread" else 9}
                if load.name.startswith("idle"):
                    values["rss_bytes"] = 64 * len(server.name) if server.name != "poll" else -3
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
    assert len(rounds) >= report.RUNS_MIN
    assert sorted(bench_run.cores_of(round_, (4, 7)) for round_ in rounds) == sorted([(4, 7), (7, 4)] * (len(rounds) // 2))


def test_the_short_form_has_what_the_first_picture_needs():
    done = {(load.name, server.name) for _, load, server in bench_run.work(bench_run.Plan(True), [])}
    assert {(load, server) for load in ("tcp-50", "idle-10000") for server in ("epoll-echo", "epoll", "poll")} <= done
    assert len(done) < 20


def test_some_of_the_loads():
    done = {load.name for _, load, _ in bench_run.work(bench_run.Plan(False, names=["flood", "churn"]), [])}
    assert done == {"flood", "churn"}


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


@pytest.mark.parametrize("median,low,high,kind", [(0.9, 0.8, 0.95, "reached"), (1.04, 0.8, 1.06, "open"),
                                                  (1.06, 1.02, 1.1, "open"), (1.2, 1.1, 1.3, "missed")])
def test_on_a_noisy_machine_all_rounds_have_to_agree(place, median, low, high, kind):
    figures.write(place / "results.csv", invent(noisy=True).figures())
    made = report.Report(place)
    made.figures[("epoll-echo/epoll", "tcp-mean", "cpu_us")] = figures.Figure(median, low, high, 3)
    found = made.verdict(matrix.CLAIMS[0])
    assert found[1] == kind
    assert ("the machine was noisy" in found[2]) == (kind == "open")


def test_fewer_than_three_rounds_decide_nothing(place):
    figures.write(place / "results.csv", invent(rounds=2).figures())
    made = report.Report(place)
    assert {made.verdict(claim)[1:] for claim in matrix.CLAIMS} == {("open", "undecided; fewer than 3 rounds")}
    assert "14 undecided" in made.sentence()


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
    assert f"Medians of {made.rounds} interleaved rounds" in readme.replace("\n", " ")
    assert f"median of {made.rounds} interleaved rounds" in made.page()
    noisy = "noisy" in made.noise()
    assert ("calls it noisy" in readme, "calls it quiet" in readme) == (noisy, not noisy)
    assert f"in {bench_run.Plan(False).rounds} rounds" in (ROOT / "bench/README.md").read_text().replace("\n  ", " ")


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


def test_nothing_is_not_what_was_not_measured(page):
    """RSS that shrank is 0 in the picture; io_uring was left out."""
    text = page.read_text()
    memory = text[text.index('id="picture-memory"'):].split("</figure>")[0]
    assert re.search(r">poll</text>.*?>0</text>", memory)
    made = report.Report(page.parent)
    del made.figures[("poll", "idle-10000", "rss_bytes")]
    del made.figures[("poll", "idle-900", "rss_bytes")]
    memory = made.page().split('id="picture-memory"')[1].split("</figure>")[0]
    assert re.search(r">poll</text><text[^>]*>not measured</text>", memory)


def test_a_page_of_the_short_form(tmp_path):
    """With what little it has, and nothing else."""
    runs = invent(rounds=4)
    done = {(load.name, server.name) for _, load, server in bench_run.work(bench_run.Plan(True), [])} | {
        ("idle-0", "epoll-echo"), ("idle-0", "poll"), ("idle-0", "epoll"), ("all", "machine")}
    runs.values = {key: value for key, value in runs.values.items() if (key[1], key[0]) in done}
    figures.write(tmp_path / "results.csv", runs.figures())
    (tmp_path / "machine.json").write_text(json.dumps({**MACHINE, "quick": True}))
    text = report.Report(tmp_path).page()
    assert 'id="picture-idle"' in text and 'id="picture-flood"' not in text
    assert "only those of the short form" in text


@pytest.mark.parametrize("kind", ["wide", "phone", "dark"])
def test_a_browser_shows_the_pictures(page, kind):
    opened = page.with_name("benchmark.html")
    opened.write_text(page.read_text().replace("<details>", "<details open>"))
    seen = look(opened, kind)
    assert set(seen["figures"]) == PICTURES
    assert seen["scrolls"] == 0, "the page or a table is wider than its window"
    assert seen["cut"] == [], "text that leaves its picture"
    assert seen["overlapping"] == [], "text on other text"
    assert seen["small"] == [], "text that is too small to read"
    assert (seen["luminance"] < 60) == (kind == "dark")
    photograph(opened, kind, "bench", seen["height"])


def test_the_committed_pictures_are_those_of_the_committed_runs():
    assert pictures.drawn() == {path.name: path.read_text() for path in pictures.PICTURES.glob("*.svg")}
    for text in pictures.drawn().values():
        xml.dom.minidom.parseString(text)


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
