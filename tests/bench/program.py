"""Runs echo-bench. Deadlines end a hopeless wait and are never what is asserted."""

import json
import os
import subprocess

from harness.daemon import ROOT
from harness.wait import PATIENCE

BENCH = os.environ.get("ECHO_BENCH", str(ROOT / "echo-bench"))


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
