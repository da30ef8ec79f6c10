# SPDX-License-Identifier: MIT
"""The guide's programs, built and at hand, in a network namespace of their own."""
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import programs  # noqa: E402  (docs/programs.py: starts, talks to and stops programs)


def pytest_configure(config):
    """Fixed ports and other people's traffic stay outside: all of it runs in a fresh namespace."""
    CLONE_NEWNET = 0x40000000
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture(scope="session", autouse=True)
def built():
    programs.build()


@pytest.fixture
def start():
    """start(name, *arguments) runs an example and returns it once it listens."""
    running = []

    def start(name, *arguments, **options):
        running.append(programs.Server(programs.BUILD / name, *arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()
