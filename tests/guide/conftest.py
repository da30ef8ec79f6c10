# SPDX-License-Identifier: MIT
"""The guide's programs, built and at hand, in a network namespace of their own."""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import programs  # noqa: E402  (docs/programs.py: starts, talks to and stops programs)


def pytest_configure(config):
    config.own_namespace = programs.enter_namespace()


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
