"""Real programs talk to one daemon that has a port of each role."""

import pytest

from harness.daemon import BINARY, Daemon
from harness.fixtures import namespace, need  # noqa: F401
from programs import LISTEN


def pytest_sessionstart():
    need("all", BINARY)


@pytest.fixture(scope="session")
def server(namespace):  # noqa: F811
    with Daemon(*LISTEN, "--name=box", "--line-timeout=1", port=None, listening=11) as server:
        yield server


@pytest.fixture(autouse=True)
def healthy(server):
    """No test ends it, or has a sanitizer find something."""
    yield
    assert server.process.poll() is None, server.log_text()
    server.check()
