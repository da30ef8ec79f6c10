"""Fixtures: an echo server, servers with faults, and echo-bench run against them."""

import contextlib
import os
import resource

import pytest

from harness import BENCH, DAEMON, Daemon, bench


def pytest_sessionstart(session):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for program in (BENCH, DAEMON):
        if not os.access(program, os.X_OK):
            pytest.exit(f"no program to test at {program}: run make", returncode=2)


@pytest.fixture(scope="module")
def daemon():
    """An epoll-echo that all tests of a module share."""
    with Daemon() as daemon:
        yield daemon


@pytest.fixture
def serve():
    """A function that starts a server made in Python: see faulty."""
    with contextlib.ExitStack() as stack:
        yield lambda server: stack.enter_context(server).address


@pytest.fixture
def measure(daemon):
    """Runs echo-bench against the daemon, and returns the parsed JSON."""

    def measure(*options):
        return bench(*options, daemon.address).json()

    return measure
