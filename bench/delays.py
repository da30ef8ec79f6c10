#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How late the delays of the role faulty are, and what a waiting connection costs.

    bench/delays.py [WAITING...]

For each number of connections that wait (1, 1000 and 10000 if none is named), all but one of them for
an hour, that one asks again and again for a delay, and the error is how much later than asked its
answer was here: the daemon's, the kernel's and this program's together.
"""
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DELAYS = [1, 5, 20, 50]  # milliseconds, in turn
ROUNDS = 100


def start():
    daemon = subprocess.Popen([ROOT / "epoll-echo", "--port=none", "--listen=faulty:127.0.0.1:0/tcp",
                               "--max-tcp=11000"], stderr=subprocess.PIPE, text=True)
    for line in daemon.stderr:
        if "msg=listening" in line:
            return daemon, int(line.rpartition("addr=127.0.0.1:")[2].split()[0])
    sys.exit("epoll-echo does not start")


def anonymous(daemon):
    """Bytes of its private memory."""
    for line in Path(f"/proc/{daemon.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Anonymous in smaps_rollup")


def waiting(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"/delay 3600000 x\n")
    return client


def errors(client):
    """In milliseconds, sorted."""
    found = []
    for milliseconds in DELAYS * ROUNDS:
        begun = time.monotonic_ns()
        client.sendall(f"/delay {milliseconds} x\n".encode())
        if client.recv(16) != b"x\n":
            sys.exit("epoll-echo has not answered")
        found.append((time.monotonic_ns() - begun) / 1e6 - milliseconds)
    return sorted(found)


def measure(count):
    daemon, port = start()
    try:
        asking = socket.create_connection(("127.0.0.1", port))
        early = errors(asking)[0] < 0  # and the memory that is needed once is there
        before = anonymous(daemon)
        others = [waiting(port) for _ in range(count - 1)]
        found = errors(asking)
        cost = (anonymous(daemon) - before) / len(others) if others else 0
        for client in [asking, *others]:
            client.close()
    finally:
        daemon.kill()
        daemon.wait()
    if early or found[0] < 0:
        sys.exit("a delay was early")
    p50, p99 = statistics.median(found), found[len(found) * 99 // 100]
    each = f"{cost:.0f} bytes each" if others else "-"
    print(f"{count:>7} waiting: p50 {p50:.3f} ms, p99 {p99:.3f} ms, memory {each}", flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in [int(word) for word in sys.argv[1:]] or [1, 1000, 10_000]:
        measure(number)
