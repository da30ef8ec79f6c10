#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a closed and what an open loop say of a server that stalls: the run in docs/testing-with-faults.md.

    bench/stall.py

The daemon is stopped for one of four seconds in both. The latencies are kept in bench/results/stall,
and the table for the document is printed; bench/pictures.py draws them.
"""
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import chart

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "bench/results/stall"
CONNECTIONS = 10
COMMAND = shlex.split("./echo-bench '--request=/delay 10 x\\n' --reply-bytes=2 "
                      f"--connections={CONNECTIONS} --duration=4")
LOOPS = {"closed": [], "open": ["--rate=200"]}
NAMES = {"closed": "closed loop", "open": "open loop, 200 a second"}
STYLES = {"closed": "1", "open": "0"}
LONG = 500.0  # milliseconds; who waited for so long has met the stall
SHARES = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99, 0.992, 0.994, 0.996,
          0.998]
TICKS = [(2, "50 %"), (4, "75 %"), (10, "90 %"), (100, "99 %"), (500, "99.8 %")]
BEFORE, STALL = 2.0, 1.0  # seconds


def start():
    daemon = subprocess.Popen([ROOT / "epoll-echo", "--port=none", "--listen=faulty:127.0.0.1:0/tcp"],
                              stderr=subprocess.PIPE, text=True)
    for line in daemon.stderr:
        if "msg=listening" in line:
            return daemon, line.rpartition("addr=")[2].split()[0]
    sys.exit("epoll-echo does not start")


def stall(daemon):
    time.sleep(BEFORE)
    os.kill(daemon.pid, signal.SIGSTOP)
    time.sleep(STALL)
    os.kill(daemon.pid, signal.SIGCONT)


def run(name):
    daemon, address = start()
    try:
        stalling = threading.Thread(target=stall, args=[daemon])
        stalling.start()
        subprocess.run([*COMMAND, *LOOPS[name], f"--hgrm={PLACE / name}.hgrm", address], check=True, cwd=ROOT)
        stalling.join()
    finally:
        daemon.kill()
        daemon.wait()


class Latencies:
    """What is kept of a run: milliseconds and how many messages took no longer, in order."""

    def __init__(self, name):
        lines = [line.split() for line in (PLACE / f"{name}.hgrm").read_text().splitlines() if line]
        rows = [row for row in lines if len(row) in (3, 4) and row[0][0].isdigit()]
        self.steps = [(float(row[0]), int(row[2])) for row in rows]
        self.mean = float(next(line[2].rstrip(",") for line in lines if line[0] == "#[Mean"))
        self.messages = self.steps[-1][1]

    def within(self, share):
        """The time within which so much of all messages is answered."""
        return next(value for value, count in self.steps if count >= share * self.messages)

    def later(self, milliseconds):
        return self.messages - max((count for value, count in self.steps if value <= milliseconds), default=0)


def table():
    """As the document shows it."""
    yield "| | messages | mean | p50 | p90 | p99 | max |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for loop, name in NAMES.items():
        kept = Latencies(loop)
        times = [kept.mean, *(kept.within(share) for share in (0.5, 0.9, 0.99, 1))]
        yield f"| {name} | {kept.messages} | " + " | ".join(f"{time_:.0f} ms" for time_ in times) + " |"


def picture():
    axes = chart.Axes("Answered within", "of all messages", TICKS, chart.tick_of, log_x=True)
    curves = []
    for loop, style in STYLES.items():
        kept = Latencies(loop)
        curves.append(chart.Curve(f"{loop} loop", style, [(1 / (1 - share), 1000 * kept.within(share))
                                                          for share in SHARES]))
    return chart.curves(axes, curves, False, True)


if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    for loop in LOOPS:
        run(loop)
    print("\n".join(table()))
