"""The report: figures, verdicts, and a page whose pictures a browser shows."""

import argparse
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
    for round_, load, servers in bench_run.work(bench_run.Plan(False, seed=seed), []):
        found.setdefault(load.name, {})[round_] = [server.name for server in servers]
    return found


def runs_of(plan):
    """Round, load and server of every run."""
    return [(round_, load, server) for round_, load, servers in bench_run.work(plan, []) for server in servers]


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
    done = {(load.name, server.name) for _, load, server in runs_of(bench_run.Plan(True))}
    assert {(load, server) for load in ("tcp-50", "idle-10000") for server in ("epoll-echo", "epoll", "poll")} <= done
    assert len(done) < 20


def test_some_of_the_loads():
    done = {load.name for _, load, _ in bench_run.work(bench_run.Plan(False, names=["flood", "churn"]), [])}
    assert done == {"flood", "churn"}


def test_another_build_is_measured_beside():
    plan = bench_run.Plan(False, builds=matrix.builds({"older": "/somewhere/epoll-echo"}))
    done = {(load.name, server.name) for _, load, server in runs_of(plan)}
    assert {(load.name, server) for load in matrix.LOADS for server in ("older", "older-udp")
            if load.protocol == ("udp" if server.endswith("udp") else "tcp") and not load.instead} <= done
    server = next(server for server in plan.servers if server.name == "older")
    assert bench_run.command_of(server, None)[:2] == ["/somewhere/epoll-echo", "--port=0"]


def test_another_build_is_in_the_page_and_in_means(tmp_path):
    machine = {**MACHINE, "builds": {"older": "/somewhere/epoll-echo"}}
    runs = figures.Runs(servers=[*matrix.SERVERS, *matrix.builds(machine["builds"])])
    runs.values = dict(invent().values)
    for (server, load, metric), rounds in invent().values.items():
        if server == "epoll-echo":
            runs.values["older", load, metric] = {round_: 2 * value for round_, value in rounds.items()}
    figures.write(tmp_path / "results.csv", runs.figures())
    (tmp_path / "machine.json").write_text(json.dumps(machine))
    made = report.Report(tmp_path)
    assert made.get("older/epoll-echo", "tcp-mean", "cpu_us").median == pytest.approx(2)
    assert "<b>older</b>: epoll-echo as built at /somewhere/epoll-echo" in made.page()


@pytest.mark.parametrize("word", ["x", "epoll=/bin/true", "a b=/bin/true", "=x", "x="])
def test_a_build_has_a_name_of_its_own_and_a_program(word):
    with pytest.raises(argparse.ArgumentTypeError):
        bench_run.read_build(word)


def test_a_run_in_turns_has_as_many_seconds_as_one_in_one():
    for quick in (False, True):
        plan = bench_run.Plan(quick)
        for load in plan.loads():
            assert plan.turns(load) >= (1 if load.turn == 0 else 2), load.name
            assert load.turn == 0 or plan.seconds / plan.turns(load) == pytest.approx(load.turn)


def with_calls():
    """A run in which a call costs 100 ns, and a message of what is counted three of them."""
    runs = invent()
    for round_, ns in enumerate([90, 100, 120]):
        runs.add("machine", "all", round_, {"call_ns": ns})
    for server, load in {(server, load) for server, load, _ in runs.values}:
        if any(other.name == load and other.calls for other in matrix.LOADS):
            runs.add(server, load, 0, {"calls": 3.0})
    return runs


def test_what_calls_take_of_a_message():
    runs = with_calls()
    found = runs.figures()
    assert found["udp-pair", "udp-1", "calls_us"].median == pytest.approx(0.3)
    costs = runs.rounds("udp-pair", "udp-1", "cpu_us")
    assert found["udp-pair", "udp-1", "calls_percent"].high == pytest.approx(30 / min(costs.values()))
    assert ("epoll-echo", "flood", "calls_us") not in found


def test_the_page_tells_what_a_call_costs_if_that_was_measured(place):
    assert "system call" not in report.Report(place).page()
    figures.write(place / "results.csv", with_calls().figures())
    text = report.Report(place).page()
    assert "A system call that does nothing took 100 ns there (90 to 120)." in text
    assert "calls a message" in text and "entering the kernel: 0.300 µs (" in text
    assert report.Report(place).idle_picture(False, True).count("an empty system call: 100 ns") == 2  # label and title


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
    for round_, load, server in runs_of(plan):
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
    done = {(load.name, server.name) for _, load, server in runs_of(bench_run.Plan(True))} | {
        ("idle-0", "epoll-echo"), ("idle-0", "poll"), ("idle-0", "epoll"), ("all", "machine")}
    runs.values = {key: value for key, value in runs.values.items() if (key[1], key[0]) in done}
    figures.write(tmp_path / "results.csv", runs.figures())
    (tmp_path / "machine.json").write_text(json.dumps({**MACHINE, "quick": True}))
    text = report.Report(tmp_path).page()
    assert 'id="picture-idle"' in text and 'id="picture-flood"' not in text
    assert "only those of the short form" in text


@pytest.mark.parametrize("kind, runs", [("wide", with_calls), ("phone", invent), ("phone", with_calls), ("dark", invent)])
def test_a_browser_shows_the_pictures(place, kind, runs):
    figures.write(place / "results.csv", runs().figures())
    report.write(place)
    page = place / "index.html"
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
    ("<!--bench million/ epoll-echo rest switches-->0<!--/bench-->", True),
    ("<!--bench million/ epoll-echo rest switches-->1<!--/bench-->", False),
    ("<!--bench nowhere/ epoll-echo rest switches-->0<!--/bench-->", False),
    ("<!--bench-table million/ epoll-echo\nrest switches 0: none\n-->\n| | epoll-echo |\n| --- | ---: |\n| none | 0 |\n"
     "<!--/bench-table-->\n", True),
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


@pytest.mark.parametrize("measured", [False, True])
def test_documents_tell_what_a_call_costs_if_that_was_measured(place, measured):
    if measured:
        figures.write(place / "results.csv", with_calls().figures())
    document, told = place / "README.md", "A system call that does nothing took 100 ns there (90 to 120)."
    for text in (told, ""):
        document.write_text(f"It is fast. <!--bench-call-->{text}<!--/bench-call-->\n")
        assert (quotes("--check", f"--csv={place / 'results.csv'}", document).returncode == 0) == (bool(text) == measured)
        quotes("--update", f"--csv={place / 'results.csv'}", document)
        assert document.read_text() == f"It is fast. <!--bench-call-->{told if measured else ''}<!--/bench-call-->\n"
    document.write_text("<!--bench-call-->")
    assert quotes("--check", f"--csv={place / 'results.csv'}", document).returncode == 1


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
