"""Fixtures: daemons and clients that are gone when their test is, however it ended."""

import contextlib
import itertools
import os

import pytest

from harness import network
from harness.clients import Client, Peer
from harness.daemon import Daemon


def need(target, *paths):
    """Ends the run where one of these has not been built."""
    for path in paths:
        if not os.access(path, os.R_OK):
            pytest.exit(f"no {path}: run make {target}", returncode=2)


@pytest.fixture
def start():
    """A function that starts daemons, which are stopped gracefully afterwards."""
    with contextlib.ExitStack() as stack:
        yield lambda *options, **details: stack.enter_context(Daemon(*options, **details))


module_start = pytest.fixture(start.__wrapped__, scope="module", name="module_start")


@pytest.fixture
def dial():
    """A function that connects to a server over TCP."""
    with contextlib.ExitStack() as stack:
        yield lambda server, host="127.0.0.1", port=None, **details: stack.enter_context(
            Client(host, port or server.tcp_port, **details))


@pytest.fixture
def peer():
    """A function that makes a UDP socket for a server."""
    with contextlib.ExitStack() as stack:
        yield lambda server, host="127.0.0.1", port=None, **details: stack.enter_context(
            Peer(host, port or server.udp_port, **details))


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(b"open sesame\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def namespace():
    if not network.own_namespace():
        pytest.skip("needs root and a network namespace of its own: unshare -n")


@pytest.fixture
def strace(tmp_path):
    """Command prefixes that run the daemon under strace, itself still our child."""

    def strace(*options):
        return ["strace", "--daemonize", f"--output={tmp_path / 'trace'}", *options]

    def trace():
        """The lines so far, but what gcov does at the end of a build that counts."""
        lines = (tmp_path / "trace").read_text().splitlines()
        return list(itertools.takewhile(lambda line: '.gcda"' not in line, lines))

    strace.trace = trace
    return strace
