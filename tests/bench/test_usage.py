"""The command line, and what is printed for people."""

import os
import pty
import re
import select
import subprocess
import time

import pytest

from harness.daemon import ROOT
from harness.wait import PATIENCE
from program import BENCH, bench


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
    run = bench("-n", 500, f"--pid={daemon.pid}", "--rest=0.1", "--idle=10", daemon.address, plain=True)
    assert (run.status, run.err) == (0, "")
    lines = run.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    for word in ("closed loop", "messages    500", "errors      0", "p50", "p99.9", "max", "echo-bench", "server",
                 "idle        10 connections", "at rest", "energy"):
        assert word in run.out


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
    assert re.search(r"\r\x1b\[K *\d+ % +\d+/s  p99 [\d.]+ [um]?s .*[▁▂▃▄▅▆▇█]", seen)
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
