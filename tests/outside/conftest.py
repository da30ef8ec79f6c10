"""Fixtures: servers and clients that are gone when their test is, however it ended."""

import contextlib
import itertools
import os
import resource

import pytest

import wire
from harness import BINARY, BUILD, Client, Peer, Server
from minute import Minute

# What runs under valgrind, over IPv4.
SHORT_PART = {"test_framing", "test_commands", "test_udp", "test_signals"}


def pytest_configure(config):
    config.addinivalue_line("markers", "plain: measures what a checking build changes")


def pytest_collection_modifyitems(config, items):
    if BUILD == "valgrind":
        short = [item for item in items if item.module.__name__ in SHORT_PART and "ipv6" not in item.name]
        config.hook.pytest_deselected(items=[item for item in items if item not in short])
        items[:] = short
    for item in items:
        if config.pluginmanager.hasplugin("timeout"):
            item.add_marker(pytest.mark.timeout(200))
        if BUILD != "plain" and item.get_closest_marker("plain"):
            item.add_marker(pytest.mark.skip(reason=f"meaningless in the {BUILD} build"))


def pytest_sessionstart(session):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"no program to test at {BINARY}: run make, or set EPOLL_ECHO", returncode=2)


@contextlib.contextmanager
def _servers():
    """A function that starts servers, which are stopped gracefully afterwards."""
    started = []

    def start(*options, **details):
        server = Server(*options, **details)
        started.append(server)
        return server

    try:
        yield start
        for server in started:
            if server in Server.running:
                server.stop()
    finally:
        for server in started:
            server.kill()


@pytest.fixture
def start():
    with _servers() as start:
        yield start


@pytest.fixture(scope="module")
def module_start():
    with _servers() as start:
        yield start


@pytest.fixture(autouse=True)
def healthy():
    """No server that survives a test has crashed or reported an error in it."""
    yield
    for server in Server.running:
        assert server.process.poll() is None, f"the server is gone: {server.log_text()}"
        server.check()


@pytest.fixture
def dial():
    """A function that connects to a server over TCP."""
    with contextlib.ExitStack() as stack:

        def dial(server, host="127.0.0.1", **details):
            return stack.enter_context(Client(host, server.tcp_port, **details))

        yield dial


@pytest.fixture
def peer():
    """A function that makes a UDP socket for a server."""
    with contextlib.ExitStack() as stack:

        def peer(server, host="127.0.0.1", **details):
            return stack.enter_context(
                contextlib.closing(Peer(host, server.udp_port, **details))
            )

        yield peer


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
def namespace():
    if not wire.own_namespace():
        pytest.skip("needs root and a network namespace of its own: unshare -n")


@pytest.fixture(scope="session")
def elsewhere(namespace):
    """Addresses of this machine that are not loopback ones, by IP version."""
    wire.ip("addr", "add", "10.77.1.1/32", "dev", "lo")
    wire.ip("addr", "add", "fd00:77::1/128", "dev", "lo", "nodad")
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


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(b"open sesame\n")
    path.chmod(0o600)
    return path


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
