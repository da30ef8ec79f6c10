"""The command line, and what is printed for people."""

import os
import pty
import re
import select
import socket
import subprocess
import time

import pytest

import faulty
from harness.daemon import ROOT
from harness.wait import PATIENCE
from program import BENCH, bench

WAIT = "--timeout=30"


def options_of_help():
    out = bench("--help", plain=True).out
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)", out, re.M)), set(re.findall(r"^\s+(-\w),", out, re.M))


def test_man_page_and_help_have_the_same_options():
    page = (ROOT / "man/echo-bench.1").read_text()
    tags = re.findall(r"^\.It (Fl .*)$", page, re.M)
    longs = {"--" + name for tag in tags for name in re.findall(r"\\-([a-z-]+)", tag)}
    shorts = {"-" + name for tag in tags for name in re.findall(r"Fl (\w) ,", tag)}
    assert (longs, shorts) == options_of_help()


def test_man_page_is_clean():
    try:
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "style", str(ROOT / "man/echo-bench.1")],
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("mandoc is not installed")
    assert lint.stdout == ""


def test_version():
    run = bench("--version", plain=True)
    assert (run.status, run.err) == (0, "")
    assert re.fullmatch(r"echo-bench \d+\.\d+\.\d+\S*\n", run.out)


@pytest.mark.parametrize("words", [[], ["localhost"], ["a:1", "b:2"], ["--no-such", "a:1"], ["--depth=0", "a:1"]])
def test_wrong_usage(words):
    run = bench(*words, plain=True)
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith("echo-bench: ")
    assert "--help" in run.err


def test_a_host_that_does_not_exist():
    run = bench("-n", 1, "no-such-host.invalid:7")
    assert (run.status, run.out) == (1, "")
    assert "no-such-host.invalid:7" in run.err


def test_a_process_that_does_not_exist(daemon):
    run = bench("-n", 1, "--pid=4194303", daemon.address)
    assert (run.status, run.out) == (1, "")
    assert "4194303" in run.err


def test_text_fits_one_screen(daemon):
    run = bench("-n", 60000, f"--pid={daemon.pid}", "--rest=0.1", "--idle=10", daemon.address, plain=True)
    assert (run.status, run.err) == (0, "")
    lines = run.out.splitlines()
    assert len([line for line in lines if not line.startswith("! ")]) <= 24
    assert max(map(len, lines)) <= 120
    for word in ("closed loop", "messages    60000", "errors      0", "min", "mean", "deviation", "p50", "p99.9",
                 "p99.99", "max", "echo-bench", "server", "idle        10 connections", "at rest", "energy"):
        assert word in run.out


def test_the_histogram_has_every_message(daemon, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    run = bench("-n", 3000, daemon.address, plain=True)
    rows = re.findall(r" +[\d,.]+ +- +[\d,.]+  #* +([\d,]+)$", run.out, re.M)
    assert 1 <= len(rows) <= 9
    assert sum(int(count.replace(",", "")) for count in rows) == 3000


def test_text_in_utf_8(daemon, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    out = bench("-n", 3000, daemon.address, plain=True).out
    assert " µs" in out and " us" not in out
    assert re.search("[▏▎▍▌▋▊▉█]", out)


def test_too_few_messages_have_no_percentiles(daemon):
    out = bench("-n", 5, "-c", 1, daemon.address, plain=True).out
    assert re.findall(r"\bp[\d.]+", out) == []
    assert "min" in out and "max" in out


def test_a_line_for_each_interval(daemon):
    out = bench("-t", 1, "-w", 0, "--interval=0.25", daemon.address, plain=True).out
    head, *lines = out[:out.index("echo-bench: ")].splitlines()
    assert head.split()[:7] == ["seconds", "a", "second", "p50", "p99", "max", "errors"]
    assert 2 <= len(lines) <= 5
    assert all(re.fullmatch(r" +\d+\.\d\d +\d+( +[\d,.]+){3} +0", line) for line in lines)


def test_an_interval_without_an_answer_has_no_latency():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = bench("-t", 0.6, "-w", 0, "--timeout=0.1", "-c", 1, "--interval=0.25",
                    "127.0.0.1:%d" % silent.getsockname()[1], plain=True)
    assert run.status == 1
    assert re.search(r"^ +\d\.\d\d +0 +- +- +- +0$", run.out, re.M)


def test_no_lines_in_json(daemon):
    result = bench("-t", 0.6, "-w", 0, "--interval=0.5", daemon.address).json()
    assert 1 <= len(result["timeline"]) <= 2


@pytest.mark.parametrize("expect, broken", [
    ("p50<1000s,errors=0,rate>1,messages=2000", ""),
    ("p50<1ns", "p50<1ns, and it was "),
    ("errors>0", "errors>0, and it was 0\n"),
    ("p50<1000s,max<1us,errors>=0", "max<1us, and it was "),
    ("p99.99<1000s", "p99.99<1000s, and it was -: not measured, or by too few messages\n"),
    ("cpu<1000s", "cpu<1000s, and it was -: "),
])
def test_what_is_expected(daemon, expect, broken):
    run = bench("-n", 2000, f"--expect={expect}", daemon.address, plain=True)
    assert run.status == (1 if broken else 0)
    assert run.err.startswith(f"echo-bench: expected {broken}" if broken else "")
    assert run.err.count("\n") == (1 if broken else 0)
    assert "messages    2000" in run.out


def test_errors_that_are_expected(serve):
    """As over a network that loses some."""
    address = serve(faulty.Udp(lambda number, datagram: [] if number == 30 else [datagram]))
    words = ["--udp", "-n", 100, "-c", 1, "--timeout=1", address]
    assert bench(*words).status == 1
    assert bench("--expect=errors<=1", *words).status == 0


def test_a_plan_that_was_not_kept(serve):
    """One message in flight, and an answer takes 50 ms: of 100 a second a fifth can be sent."""
    def change(number, line):
        time.sleep(0.05)
        return line

    run = bench("-r", 100, "-t", 1, "-w", 0, "-c", 1, WAIT, serve(faulty.answering(change)), plain=True)
    assert run.status == 1
    assert "errors      0" in run.out
    assert re.search(r"^! behind: of 100 planned messages \d+\.\d\d % were sent: a lower --rate", run.out, re.M)


def test_a_summary_of_runs(daemon, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    run = bench("-n", 600, "--repeat=6", daemon.address, plain=True)
    assert run.status == 0
    assert "6 runs; times in us" in run.out
    rows = dict(re.findall(r"^(rate|p\d+|max|errors) +(.*)$", run.out, re.M))
    assert set(rows) == {"rate", "p50", "p90", "p99", "max", "errors"}
    for row in rows.values():
        median, low, high, _, low_sure, high_sure = [
            float(word.replace(",", "").rstrip("!")) for word in re.sub("%!?", "", row).split()]
        assert low <= low_sure <= median <= high_sure <= high
    assert "confidence interval" in bench("-n", 10, "--repeat=2", daemon.address, plain=True).out


def test_output_that_cannot_be_written(daemon):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BENCH, "-n", "1", daemon.address], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "standard output" in done.stderr


def read_terminal(leader, process):
    """All that is written to a terminal until the program has ended."""
    seen, deadline = b"", time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not select.select([leader], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            seen += os.read(leader, 65536)
        except OSError:
            break
    return seen.decode()


def test_a_live_line_on_a_terminal(daemon):
    leader, follower = pty.openpty()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    with subprocess.Popen([BENCH, "-t", "2", "-w", "0", daemon.address], stdin=follower, stdout=follower,
                          stderr=follower, env=environment) as running:
        os.close(follower)
        seen = read_terminal(leader, running)
    os.close(leader)
    assert running.returncode == 0
    assert re.search(r"\r\x1b\[K *\d+ % +\d+/s  p99 [\d,.]+ ms .*[▁▂▃▄▅▆▇█]", seen)
    assert "errors      0" in seen.rsplit("\x1b[K", 1)[1]


def test_no_live_line_elsewhere(daemon):
    leader, follower = pty.openpty()
    done = subprocess.run([BENCH, "-t", "0.6", "-w", "0", daemon.address], stdin=follower, stdout=subprocess.PIPE,
                          stderr=follower, timeout=PATIENCE, check=False)
    assert done.returncode == 0
    assert b"\r" not in done.stdout
    assert not select.select([leader], [], [], 0)[0]
    os.close(follower)
    os.close(leader)
