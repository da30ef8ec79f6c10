"""echo-bench-report: what it says of one run and of several, and what a browser makes of the page."""

import copy
import csv
import io
import json
import re
import subprocess
import sys

import pytest

from browser import look, photograph
from harness.daemon import ROOT
from harness.wait import PATIENCE
from program import bench

sys.path.insert(0, str(ROOT / "bench"))
import compare  # noqa: E402

RUN = {
    "version": "1.0.0", "date": "2026-01-02T03:04:05.0Z", "server_address": "127.0.0.1:7", "protocol": "tcp",
    "loop": "closed", "connections": 50, "depth": 1, "size": 64, "idle": 0, "rate": 0, "churn": False, "verify": False,
    "messages": 100000, "seconds": 5.0, "messages_per_second": 20000.0, "errors": 0, "planned": 0, "unsent": 0,
    "latency_us": {"p50": 50.0, "p90": 90.0, "p99": 200.0, "p999": 400.0, "p9999": 900.0, "max": 1500.0, "min": 20.0,
                   "mean": 55.0, "deviation": 9.0},
    "client": {"cpu_us_per_message": 3.0, "core_percent": 60.0},
    "server": {"cpu_us_per_message": 4.0, "context_switches_per_message": 0.1, "rss_bytes_per_idle_connection": None,
               "wakeups_per_second_at_rest": 0},
    "machine": {"kernel": "6.1 <x>", "cores": 4, "others_percent": 1.0, "stolen_percent": 0.0}, "warnings": [],
    "distribution": [[0, 20], [50, 50], [75, 70], [90, 90], [95, 120], [99, 200], [99.9, 400], [99.99, 900]],
    "timeline": [{"began": i / 4, "ended": (i + 1) / 4, "messages": 5000, "p50_us": 50, "p99_us": 190 + i, "max_us": 900}
                 for i in range(20)],
}


def runs(*rates, scale=1.0, **changes):
    """A run for each of RATES, whose latencies are SCALE times those of RUN."""
    made = []
    for rate in rates:
        run = copy.deepcopy(RUN)
        run["messages_per_second"] = rate
        run["latency_us"] = {key: value * scale * 20000 / rate for key, value in RUN["latency_us"].items()}
        run["distribution"] = [[share, value * scale] for share, value in RUN["distribution"]]
        for key, value in changes.items():
            run[key] = {**run[key], **value} if isinstance(value, dict) else value
        made.append(run)
    return {"runs": made}


@pytest.fixture
def files(tmp_path):
    def files(**contents):
        for name, content in contents.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(content))
        return [tmp_path / f"{name}.json" for name in contents]
    return files


@pytest.fixture
def verdict(files):
    """What stands first, as a reader sees it."""
    def verdict(**contents):
        page = compare.Page([compare.Measurement(path) for path in files(**contents)]).html()
        return re.sub(r"<[^>]*>", "", re.search("<p class='verdict'>(.*?)</p>", page)[1])
    return verdict


A = (19900, 20000, 20100)


def test_one_measurement(verdict):
    assert verdict(mine=runs(*A)) == ("mine answered 20,000 messages a second, half of them within 50.0 µs and 99 of 100 "
                                      "within 200 µs.")


def test_better_and_worse(verdict):
    found = verdict(a=runs(*A), b=runs(23900, 24000, 24100))
    assert found.startswith("b against a: better in messages a second (20 % more; between 19 and 21 %), better in 99th")
    assert "worse in messages a second (20 % less; between" in verdict(a=runs(*A), b=runs(15900, 16000, 16100))


def test_no_difference_is_said_to_be_none(verdict):
    assert verdict(a=runs(*A), b=runs(19950, 20050, 20150)) == (
        "b against a: no difference in messages a second, no difference in 99th percentile of latency.")


def test_what_spreads_widely_cannot_be_told(verdict):
    assert "no difference can be told in messages a second (+10 %)" in verdict(a=runs(*A), b=runs(18000, 22000, 30000))


@pytest.mark.parametrize("change, why", [
    ({"machine": {"others_percent": 40.0}}, "other programs took up to 40 % of the machine (b)"),
    ({"machine": {"stolen_percent": 5.0}}, "its host took up to 5 % away (b)"),
    ({"warnings": ["full core: echo-bench had no time left"]}, "echo-bench filled its core (b)"),
    ({"warnings": ["late: echo-bench itself sent later"]}, "echo-bench itself was late (b)"),
])
def test_what_was_disturbed_is_undecided(verdict, change, why):
    found = verdict(a=runs(*A), b=runs(39000, 40000, 41000, **change))
    assert found == f"Undecided whether b is better than a: {why}."


def test_fewer_than_three_runs_are_undecided(verdict):
    assert verdict(a=runs(*A), b=runs(40000, 40001)) == "Undecided whether b is better than a: there were 2 runs of b."
    assert "there was 1 run of b" in verdict(a=runs(*A), b=runs(40000)["runs"][0])


def test_an_open_loop_is_judged_by_latency(verdict):
    found = verdict(a=runs(*A, rate=20000, loop="open"), b=runs(*A, scale=2, rate=20000, loop="open"))
    assert found.startswith("b against a: worse in 99th percentile of latency (100 % more")


def test_six_runs_have_a_confidence_interval():
    assert [compare.left_out(count) for count in (1, 5, 6, 8, 9, 12)] == [-1, -1, 0, 0, 1, 2]
    values = compare.spread_of([1, 2, 3, 4, 5, 6, 7, 8, 90])
    assert (values.median, values.low, values.high, values.sure) == (5, 1, 90, (2, 8))


def test_a_percentile_needs_messages(files):
    (path,) = files(few=runs(20000, messages=499))
    figures = compare.Measurement(path).figures
    assert figures["p90"] and figures["p99"] is None and figures["max"]


def test_different_loads_are_named(files):
    page = compare.Page([compare.Measurement(path) for path in files(a=runs(*A), b=runs(*A, connections=60, depth=2))])
    assert "different loads: connections, depth differ" in page.html()


def report(*words):
    return subprocess.run(["/usr/bin/python3", str(ROOT / "bench/compare.py"), *map(str, words)], capture_output=True,
                          text=True, timeout=PATIENCE, check=False)


def test_what_echo_bench_prints_becomes_a_page(daemon, tmp_path):
    for name, options in (("one", []), ("many", ["--repeat=3"]), ("open", ["-r", 500]), ("none", ["--udp"])):
        address = daemon.address if name != "none" else "127.0.0.1:1"
        (tmp_path / f"{name}.json").write_text(
            bench("-t", 0.6, "-w", 0.1, *options, f"--pid={daemon.pid}", "--rest=0", "--timeout=0.5", address).out)
        done = report(tmp_path / f"{name}.json", "-o", tmp_path / f"{name}.html")
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert "no message was answered" in (tmp_path / "none.html").read_text()
    done = report(*(tmp_path / f"{name}.json" for name in ("many", "one", "open", "none")), "-o", tmp_path / "all.html")
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "all.html").read_text()
    assert "<script" not in text and not re.search(r"""(?:src|href)\s*=""", text)


def test_csv(files):
    done = report(*files(a=runs(*A), b=runs(5)), "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["value"] for row in rows if (row["file"], row["figure"]) == ("a", "rate")] == ["19900", "20000", "20100"]
    assert {row["run"] for row in rows} == {"1", "2", "3"}
    assert not [row for row in rows if row["figure"] == "rss"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"runs": []}', '{"messages": 1}', "7"])
def test_a_file_that_is_none(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    done = report(tmp_path / "x.json", "--csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"echo-bench-report: \S*/x.json: not what echo-bench --json prints\n", done.stderr)


def test_wrong_usage(tmp_path):
    assert report().returncode == 2
    assert report("x.json").returncode == 2
    done = report(tmp_path / "no.json", "--csv")
    assert done.returncode == 1 and "no.json" in done.stderr
    (tmp_path / "a.json").write_text(json.dumps(RUN))
    done = report(tmp_path / "a.json", "-o", tmp_path / "no/such")
    assert done.returncode == 1 and "no/such" in done.stderr


@pytest.mark.parametrize("name, kind", [("one", "phone"), ("two", "wide"), ("two", "phone"), ("two", "dark"),
                                        ("undecided", "phone")])
def test_a_browser_shows_all_of_it(files, tmp_path, name, kind):
    contents = {"one": {"epoll-echo": runs(20000)}, "two": {"epoll-echo": runs(*A), "another-server": runs(15000, 16000, 17000)},
                "undecided": {"a": runs(*A), "b": runs(*A, machine={"others_percent": 60}), "c": runs(50000)}}
    page = tmp_path / f"{name}.html"
    page.write_text(compare.Page([compare.Measurement(file) for file in files(**contents[name])]).html())
    seen = look(page, kind)
    assert seen["scrolls"] == 0, "the page is wider than its window"
    assert seen["cut"] == [], "text that leaves its picture"
    assert seen["overlapping"] == [], "text on other text"
    assert seen["small"] == [], "text that is too small to read"
    assert {"picture-percentiles", "picture-rate", "picture-latency"} <= set(seen["figures"])
    assert (seen["luminance"] < 60) == (kind == "dark")
    photograph(page, kind, f"compare-{name}", seen["height"])
