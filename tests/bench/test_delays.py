"""echo-bench against delays that are known: the recipes at the end of docs/testing-with-faults.md."""

import re
import shlex
import sys
import threading
import time

import pytest

from harness.daemon import ROOT, Daemon
from harness.wait import wait_until
from program import bench

sys.path.insert(0, str(ROOT / "bench"))

import stall  # noqa: E402

PAGE = (ROOT / "docs/testing-with-faults.md").read_text()
COMMANDS = [shlex.split(line)[1:-1] for line in re.findall(r"^\$ (\./echo-bench .*)$", PAGE, re.MULTILINE)]
STALL = 1.0  # seconds


@pytest.fixture
def faulty():
    with Daemon("--listen=faulty:0/tcp", listening=3) as daemon:
        daemon.address_of_faults = f"127.0.0.1:{daemon.port_of('tcp', role='faulty')}"
        yield daemon


def test_a_delay_is_the_latency(faulty):
    latency = bench(*COMMANDS[0], faulty.address_of_faults).json()["latency_us"]
    assert latency["min"] >= 50_000


def test_an_open_loop_tells_of_all_who_wait_while_the_server_stalls(faulty):
    """Of the four seconds one, so more than a tenth wait for long."""

    def stop():
        wait_until(lambda: faulty.stats()["tcp_lines"] > 300, "the run to be under way")
        with faulty.frozen():
            time.sleep(STALL)

    stalling = threading.Thread(target=stop)
    stalling.start()
    result = bench("--rate=200", *COMMANDS[1], faulty.address_of_faults).json()
    stalling.join()
    assert result["latency_us"]["p90"] >= STALL * 0.3e6


def test_what_is_said_of_the_kept_run_is_so():
    assert "\n".join(stall.table()) in PAGE
    closed, opened = stall.Latencies("closed"), stall.Latencies("open")
    assert closed.later(stall.LONG) == 10 == stall.CONNECTIONS
    assert f": {100 * 10 / closed.messages:.1f} % of all" in PAGE
    assert closed.within(0.99) < stall.LONG / 10
    assert opened.within(3 / 4) > stall.STALL * 100 > opened.within(0.5)  # a quarter is late
    assert [*COMMANDS[1], *stall.LOOPS["open"]] == [*stall.COMMAND[1:], "--rate=200"]
