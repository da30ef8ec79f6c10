"""What the daemon is asked from outside needs a program, and as many descriptors as there are."""

import contextlib

import pytest

from harness import network
from harness.daemon import BINARY, BUILD, Daemon, all_descriptors
from harness.fixtures import dial, module_start, namespace, need, peer, start, strace, token_file  # noqa: F401
from minute import Minute

# What runs under valgrind, over IPv4.
SHORT_PART = {"test_framing", "test_commands", "test_udp", "test_signals"}


def pytest_sessionstart(session):
    all_descriptors()
    need("all, or set EPOLL_ECHO", BINARY)


def pytest_collection_modifyitems(config, items):
    if BUILD == "valgrind":
        short = [item for item in items if item.module.__name__ in SHORT_PART and "ipv6" not in item.name]
        config.hook.pytest_deselected(items=[item for item in items if item not in short])
        items[:] = short
    for item in items:
        if BUILD != "plain" and item.get_closest_marker("plain"):
            item.add_marker(pytest.mark.skip(reason=f"meaningless in the {BUILD} build"))


@pytest.fixture(autouse=True)
def healthy():
    """No server that survives a test has crashed or reported an error in it."""
    yield
    for server in Daemon.running:
        assert server.process.poll() is None, f"the server is gone: {server.log_text()}"
        server.check()


@pytest.fixture(params=["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
def host(request):
    return request.param


@pytest.fixture(scope="module", params=["level", "edge"])
def trigger(request):
    return request.param


@pytest.fixture(scope="module")
def server(module_start, trigger):
    """Shared by the tests of one module that do not disturb each other."""
    return module_start(f"--trigger={trigger}")


@pytest.fixture(scope="session")
def elsewhere(namespace):
    """Addresses of this machine that are not loopback ones, by IP version."""
    network.ip("addr", "add", "10.77.1.1/32", "dev", "lo")
    network.ip("addr", "add", "fd00:77::1/128", "dev", "lo", "nodad")
    return {"127.0.0.1": "10.77.1.1", "::1": "fd00:77::1"}


@pytest.fixture(scope="session", autouse=True)
def minute(request):
    """Begins with the first test, so that the last ones need not wait."""
    modules = {item.module.__name__ for item in request.session.items}
    if "test_window" not in modules or BUILD == "valgrind":
        yield
        return
    with contextlib.closing(Minute()) as minute:
        yield minute
