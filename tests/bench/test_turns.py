"""Measurements in turns that somebody else begins."""

import json
import re
import signal
import subprocess

import pytest

from harness.wait import PATIENCE
from program import BENCH, bench


class Turns:
    """An echo-bench --turns."""

    def __init__(self, *words):
        self.process = subprocess.Popen([BENCH, "--json", "--turns", *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)

    def ready(self):
        """How many messages were answered so far."""
        return int(re.fullmatch(r"ready (\d+)\n", self.process.stdout.readline())[1])

    def turn(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.ready()

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.mark.parametrize("kind", [["-c", 5], ["--churn", "-c", 5], ["--udp", "-c", 5], ["--udp", "--gso", "-c", 5, "-d", 8]],
                         ids=["tcp", "churn", "udp", "trains"])
def test_turns_add_up(daemon, kind):
    with Turns(*kind, "--duration=0.03", "--verify", f"--pid={daemon.pid}", "--rest=0", "--timeout=30",
               daemon.address) as turns:
        counts = [turns.ready()] + [turns.turn() for _ in range(4)]
        status, out, err = turns.end()
    result = json.loads(out)
    assert (status, err, counts[0]) == (0, "", 0)
    assert counts == sorted(set(counts)), "a turn without a message"
    assert (result["turns"], result["messages"], result["errors"]) == (4, counts[-1], 0)
    # The time of the turns alone.
    assert result["seconds"] == pytest.approx(4 * 0.03, rel=0.001)
    assert result["messages_per_second"] == pytest.approx(result["messages"] / result["seconds"], rel=0.001)
    assert result["server"]["cpu_us_per_message"] > 0


def test_turns_of_an_open_loop(daemon):
    with Turns("-c", 5, "-d", 1000, "-r", 5000, "-n", 100, "--timeout=30", daemon.address) as turns:
        assert [turns.ready(), turns.turn(), turns.turn()] == [0, 100, 200]
        status, out, _ = turns.end()
    result = json.loads(out)
    assert (status, result["planned"], result["unsent"], result["messages"]) == (0, 200, 0, 200)


def test_messages_of_a_turn(daemon):
    with Turns("-c", 3, "-n", 50, daemon.address) as turns:
        assert [turns.ready(), turns.turn(), turns.turn()] == [0, 50, 100]
        assert turns.end()[0] == 0


def test_no_turn_at_all(daemon):
    with Turns("-c", 3, daemon.address) as turns:
        turns.ready()
        status, out, _ = turns.end()
    assert (status, json.loads(out)["messages"]) == (1, 0)


def test_an_interrupt_ends_them(daemon):
    with Turns("-c", 3, "-n", 50, daemon.address) as turns:
        turns.ready()
        turns.turn()
        turns.process.send_signal(signal.SIGINT)
        out = turns.process.stdout.read()
        assert turns.process.wait(PATIENCE) == 0
    assert (json.loads(out)["messages"], json.loads(out)["interrupted"]) == (50, True)


def test_turns_need_a_pipe(daemon, tmp_path):
    (tmp_path / "file").write_text("\n")
    with open(tmp_path / "file") as file:
        done = subprocess.run([BENCH, "--turns", "-c", "1", daemon.address], stdin=file, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "echo-bench: standard input: Operation not permitted\n"


def test_bench_needs_no_turns(daemon):
    assert "turns" not in bench("-n", 10, daemon.address).json()
