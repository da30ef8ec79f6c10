"""Runs echo-bench and the daemon. Deadlines end a hopeless wait and are never what is asserted."""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = os.environ.get("ECHO_BENCH", str(ROOT / "echo-bench"))
DAEMON = os.environ.get("EPOLL_ECHO", str(ROOT / "epoll-echo"))
PATIENCE = 30  # seconds


class Run:
    """What echo-bench has printed, and its exit status."""

    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self, status=0):
        assert self.status == status, f"exit status {self.status}: {self.out}{self.err}"
        assert self.err == ""
        return json.loads(self.out)


def bench(*words, plain=False):
    """Runs echo-bench with patience; --json unless PLAIN."""
    command = [BENCH, *([] if plain else ["--json"]), *map(str, words)]
    return Run(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=2 * PATIENCE, check=False))


class Daemon:
    """An epoll-echo on ports of the kernel's choice."""

    def __init__(self, *options):
        self.process = subprocess.Popen([DAEMON, "--port=0", *options], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        for line in self.process.stderr:
            if found := re.search(r"msg=listening .*proto=udp addr=\S+:(\d+)", line):
                self.port = int(found[1])
                break
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)
