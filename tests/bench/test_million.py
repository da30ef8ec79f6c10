# SPDX-License-Identifier: MIT
"""bench/million.py with fewer: they are all answered and nobody wakes up, and it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemon import ROOT
from harness.fixtures import need
from harness.wait import PATIENCE, wait_until

sys.path.insert(0, str(ROOT / "bench"))
import figures  # noqa: E402

PROGRAM = ROOT / "bench/million.py"
CONNECTIONS = int(os.environ.get("MILLION_CONNECTIONS", "4000"))
# Keepalive has probed every connection within two minutes.
TIMES = ["--wait=130", "--rest=20"] if CONNECTIONS > 10_000 else ["--wait=0", "--rest=1", "--seconds=0.05"]


@pytest.fixture(autouse=True)
def programs(namespace):
    need("million-programs", ROOT / "build/million/epoll-echo", ROOT / "build/hold")


@pytest.fixture
def million(tmp_path):
    """Starts it; the environment tells those that it has started from all others."""
    mark = {"MILLION_TEST": str(tmp_path)}

    def million(*options):
        return subprocess.Popen([PROGRAM, *options, f"--output={tmp_path}"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **mark})

    def left():
        """Processes that it would have to have ended."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += [path.parent.name] if f"MILLION_TEST={tmp_path}\0".encode() in path.read_bytes() else []
            except OSError:
                continue  # it has just ended
        return found

    yield million
    wait_until(lambda: not left(), "all of it to end")


def ended(process):
    said, _ = process.communicate(timeout=20 * PATIENCE)
    return process.returncode, said


def test_all_answer_and_nobody_wakes_up(tmp_path, million):
    status, said = ended(million(f"--connections={CONNECTIONS}", "--processes=2", *TIMES))
    assert status == 0, said
    known = figures.read(tmp_path / "results.csv")
    for word, count in (("answered", CONNECTIONS), ("wrong", 0), ("silent", 0), ("closed", 0)):
        assert known[("epoll-echo", "answers", word)].median == count
    assert known[("epoll-echo", "rest", "switches")].median == 0
    for step in (0, CONNECTIONS):
        assert known[("epoll-echo", f"idle-{step}", "cpu_us")].runs == 6
    assert known[("epoll-echo", f"idle-{CONNECTIONS}/idle-0", "cpu_us")].runs == 6
    assert 40 < known[("epoll-echo", "memory", "pss_bytes")].median < 200
    machine = json.loads((tmp_path / "machine.json").read_text())
    assert machine["connections"] == CONNECTIONS and machine["processes"] == 2 and machine["empty_call_ns"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_leaves_nothing_behind_when_it_is_stopped(tmp_path, million, number):
    with million("--connections=5000") as process:
        assert process.stdout.readline()  # daemons run, and have answered
        process.send_signal(number)
        assert process.wait(PATIENCE) != 0
    assert not list(tmp_path.iterdir())


def test_it_gives_up_in_time(million):
    status, said = ended(million("--connections=1000", "--limit=1"))
    assert status == 1 and "out of time" in said


@pytest.mark.parametrize("options, lacks", [
    (["--connections=90000000"], "memory: "),
    (["--connections=100000", "--processes=2"], "descriptors: a process would need "),
    (["--connections=30000"], "net.core.netdev_max_backlog"),  # not to be set in this namespace
])
def test_what_is_lacking_is_named(million, options, lacks):
    status, said = ended(million(*options))
    assert status == 1 and "this machine lacks" in said and lacks in said
