#!/usr/bin/python3
"""Measures a load in one direction: the bytes that the role discard takes in a second of its CPU time,
beside a reader that has them copied, 64 KiB at a time, as any other server would.

Both are on one core and the sender is on another; they take turns, and change cores from round to round.
"""

import argparse
import contextlib
import os
import signal
import socket
import statistics
import time
from pathlib import Path

import matrix
import run

PIECE = bytes(1 << 20)
READ_BYTES = 65536


@contextlib.contextmanager
def discard(core):
    server = matrix.Server("discard", "")
    matrix.OWN[server.name] = ["--port=none", "--listen=discard:0/tcp"]
    with run.running(server, None, core) as pid_and_port:
        yield pid_and_port


def read_all(listener):
    buffer = bytearray(READ_BYTES)
    while True:
        client, _ = listener.accept()
        with client:
            while client.recv_into(buffer):
                continue


@contextlib.contextmanager
def reader(core):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pid = os.fork()
        if pid == 0:
            os.sched_setaffinity(0, {core})
            try:
                read_all(listener)
            finally:
                os._exit(1)
        try:
            yield pid, listener.getsockname()[1]
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def cpu_seconds(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def measure(server, cores, seconds):
    """Bytes a CPU second, from the first byte to the server's FIN for ours, and bytes a second."""
    os.sched_setaffinity(0, {cores[1]})
    with server(cores[0]) as (pid, port), socket.create_connection(("127.0.0.1", port), 30) as client:
        begun, spent, sent = time.monotonic(), cpu_seconds(pid), 0
        while time.monotonic() < begun + seconds:
            sent += client.send(PIECE)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        return sent / (cpu_seconds(pid) - spent), sent / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    cores, found = run.choose_cores(), {discard: [], reader: []}
    for round_ in range(options.rounds):
        for server in (discard, reader) if round_ % 4 < 2 else (reader, discard):
            found[server].append(measure(server, run.cores_of(round_, cores), options.seconds))
    for server, values in found.items():
        cpu, wall = ([value / 1e9 for value in column] for column in zip(*values))
        print(f"{server.__name__}: {statistics.median(cpu):.1f} GB a CPU second ({min(cpu):.1f} to {max(cpu):.1f}), "
              f"{statistics.median(wall):.1f} GB a second")
    ratios = [ours[0] / theirs[0] for ours, theirs in zip(found[discard], found[reader])]
    print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
