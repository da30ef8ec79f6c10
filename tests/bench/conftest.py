"""Fixtures: an echo server, servers with faults, and echo-bench run against them."""

import contextlib

import pytest

from harness.daemon import BINARY, Daemon, all_descriptors
from harness.fixtures import namespace, need  # noqa: F401
from program import BENCH, bench


def pytest_sessionstart(session):
    all_descriptors()
    need("all", BENCH, BINARY)


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
