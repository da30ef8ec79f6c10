"""Who is let in, how the others are told, and what happens without descriptors."""

import re
import resource
import time

import pytest

from harness.clients import Client
from harness.daemon import limit_descriptors, run
from harness.lines import BUSY
from harness.wait import wait_until


@pytest.fixture
def full(start, trigger, dial):
    """A server with room for two, and the two."""
    server = start("--max-tcp=2", f"--trigger={trigger}")
    server.inmates = [dial(server) for _ in range(2)]
    for client in server.inmates:
        assert client.ask(b"in\n") == b"in\n"
    return server


def test_one_too_many_is_told_sees_a_clean_end_and_is_not_counted(full, dial, host):
    """Open connections notice nothing."""
    for number in range(10):
        assert dial(full, host).rest() == BUSY
        for client in full.inmates:
            assert client.ask(b"%d\n" % number) == b"%d\n" % number
    stats = full.inmates[0].stats()
    assert (stats["total_clients"], stats["active_udp_peers"], stats["connected_tcp"]) == (2, 0, 2)


def test_a_place_that_becomes_free_is_given_away(full, dial, host):
    assert full.inmates[0].ask_all(b"") == b""
    client = dial(full, host)
    assert client.ask(b"in\n") == b"in\n"
    assert dial(full, host).rest() == BUSY


def test_the_text_reaches_a_client_that_has_already_sent(full, dial, host):
    """Also one that has finished."""
    for size in (1, 1000, 30_000):
        client = dial(full, host)
        client.send(b"x" * size)
        assert client.rest() == BUSY
        assert dial(full, host).ask_all(b"x" * size) == BUSY


def test_the_text_and_the_end_reach_every_client_that_is_still_sending(full, dial, host):
    for _ in range(20):
        client = dial(full, host)
        for _ in range(40):
            client.send(b"still sending\n" * 10)
        assert client.line() == BUSY
        client.send(b"and still\n" * 10)
        assert client.rest() == b""


# Descriptors


# With the last, only the goodbyes beyond it do not fit.
@pytest.mark.parametrize("hard, wanted", [(64, 1000), (300, 1000), (300, 260)])
def test_max_tcp_that_does_not_fit_is_lowered_with_a_warning(start, dial, host, hard, wanted):
    server = start(f"--max-tcp={wanted}", preexec_fn=limit_descriptors(32, hard))
    (warning,) = server.find(level="warning")
    text = " ".join(warning.values())
    assert re.search(r"nofile|ulimit|descriptor|--max-tcp", text, re.IGNORECASE)
    admitted = []
    while (client := dial(server, host)) and client.ask(b"in\n") == b"in\n":
        admitted.append(client)
        assert len(admitted) < hard
    assert client.rest() == b""
    assert len(admitted) >= 16
    assert all(client.ask(b"still in\n") == b"still in\n" for client in admitted)
    assert server.find(level="warning") == [warning]


@pytest.mark.plain
def test_a_limit_that_cannot_be_raised_has_another_remedy(start, strace):
    """As where the hard limit is beyond fs.nr_open."""
    lower = ["sh", "-c", 'ulimit -Sn 300 && exec "$@"', "sh"]
    start(wrapper=[*lower, *strace("--trace=prlimit64")]).stop()
    calls = [line for line in strace.trace() if line.startswith("prlimit64(")]
    number = next(n for n, call in enumerate(calls, 1) if "RLIMIT_NOFILE, {" in call)
    faults = strace("--trace=prlimit64", f"--inject=prlimit64:error=EPERM:when={number}")
    server = start("--max-tcp=1000", wrapper=[*lower, *faults])
    (warning,) = server.find(level="warning")
    assert warning["limit"] == "300" and "fs.nr_open" in warning["remedy"]


def test_a_limit_that_is_too_low_for_anything_has_a_remedy():
    done = run("--port=0", preexec_fn=limit_descriptors(17, 17))
    assert done.returncode == 1
    assert b"limit for descriptors is too low" in done.stderr and b"ulimit -Hn" in done.stderr


@pytest.fixture
def exhausted(start, trigger, dial):
    """A server that has no descriptor left, though it has room for more."""
    server = start("--max-tcp=1000", f"--trigger={trigger}")
    server.limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    server.inmates = [dial(server) for _ in range(3)]
    for client in server.inmates:
        client.ask(b"in\n")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors(), server.limits[1]))
    yield server
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, server.limits)


def served(server):
    """Whether a new client is served now, instead of being turned away or kept waiting."""
    with Client("127.0.0.1", server.tcp_port) as client:
        client.socket.settimeout(1)
        try:
            return client.ask(b"hello\n") == b"hello\n"
        except (TimeoutError, ConnectionError):
            return False


@pytest.mark.plain
def test_without_descriptors_it_neither_spins_nor_floods_its_log(exhausted, dial):
    waiting = [dial(exhausted) for _ in range(20)]
    assert exhausted.inmates[0].ask(b"still in\n") == b"still in\n"
    lines, spent = len(exhausted.stderr), exhausted.cpu_seconds()
    time.sleep(2)
    assert exhausted.cpu_seconds() - spent < 0.3
    assert len(exhausted.stderr) - lines < 10
    assert len(waiting) == 20


@pytest.mark.parametrize("how", ["a free descriptor", "a raised limit"])
def test_what_becomes_free_serves_the_next(exhausted, dial, how):
    waiting = dial(exhausted)
    assert not served(exhausted)
    if how == "a raised limit":
        resource.prlimit(exhausted.pid, resource.RLIMIT_NOFILE, exhausted.limits)
    else:
        for client in exhausted.inmates[:2]:
            client.close()
    wait_until(lambda: served(exhausted), "a client to be served")
    assert waiting.ask(b"hello\n") in (b"hello\n", BUSY)
