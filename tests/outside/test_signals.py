"""Signals: the graceful end, and what must not end it."""

import os
import signal

import pytest

from harness.clients import refused
from harness.wait import wait_until

LINES = b"".join(b"line number %d\n" % number for number in range(3_000_000))
ENDINGS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def server(start, trigger):
    return start(f"--trigger={trigger}", "--drain-timeout=25")


@pytest.mark.parametrize("number", ENDINGS)
def test_open_connections_see_a_clean_end(server, dial, host, number):
    """And the exit status is 0."""
    busy, idle = dial(server, host), dial(server, host)
    assert busy.ask(b"before\n") == b"before\n"
    server.signal(number)
    assert busy.rest() == b"" and idle.rest() == b""
    server.ended()


def test_what_was_received_before_the_signal_is_answered(server, dial, peer, host):
    clients = [dial(server, host) for _ in range(20)]
    udp = peer(server, host)
    for client in clients:
        assert client.ask(b"warm up\n") == b"warm up\n"
    with server.frozen():
        for client in clients:
            client.send(LINES[:3000])
        udp.send(b"received")
        server.signal(signal.SIGTERM)
    for client in clients:
        answer = client.rest()
        assert answer == LINES[: len(answer)]
        assert len(answer) >= LINES.rindex(b"\n", 0, 3000) + 1
    assert udp.receive() == b"received"
    server.ended()


@pytest.mark.parametrize("finished", [False, True])
def test_everything_received_reaches_a_slow_reader(server, dial, host, finished):
    client = dial(server, host, receive_buffer=4096)
    client.send(LINES[:60_000])
    if finished:
        client.finish()
    client.delivered()
    server.deliver(signal.SIGTERM)
    answer = client.rest()
    assert answer == LINES[: len(answer)]
    assert len(answer) >= (60_000 if finished else LINES.rindex(b"\n", 0, 60_000) + 1)
    server.ended()


def test_everything_received_reaches_a_client_that_had_more_to_send(server, dial, host):
    """The rest of its data must not turn the clean end into a reset."""
    client = dial(server, host, receive_buffer=4096)
    received = client.clog(LINES) - client.unsent()
    server.deliver(signal.SIGTERM)
    answer = client.rest()
    assert answer == LINES[: len(answer)] and answer.endswith(b"\n")
    assert len(answer) >= LINES.rindex(b"\n", 0, received) + 1
    server.ended()


def test_more_input_after_the_signal_does_not_cost_what_is_owed(server, dial, host):
    """More than a goodbye discards: closing then would reset the connection too early."""
    client = dial(server, host, receive_buffer=4096)
    client.send(LINES[:60_000] + b"\n")
    client.delivered()
    server.settle()
    server.deliver(signal.SIGTERM)
    sending = client.send_in_background(b"too late\n" * 500_000)
    server.settle()
    answer = client.read(60_001)
    assert answer == LINES[:60_000] + b"\n"
    client.close()
    sending.join()
    server.ended()


def test_new_connections_are_refused_during_the_end(server, dial, host):
    dial(server, receive_buffer=4096).clog(LINES)
    server.deliver(signal.SIGTERM)
    wait_until(lambda: refused(host, server.tcp_port), "the port to be closed")
    assert server.process.poll() is None
    server.signal(signal.SIGTERM)
    server.ended()


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", ENDINGS)
def test_a_second_signal_ends_at_once(start, dial, first, second):
    server = start("--drain-timeout=3600")
    dial(server, receive_buffer=4096).clog(LINES)
    server.deliver(first)
    assert server.process.poll() is None
    server.signal(second)
    server.ended()


OF_WRITES_AND_TERMINALS = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGIO, signal.SIGQUIT, signal.SIGTSTP,
                           signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGCONT]


@pytest.mark.parametrize("number", [signal.SIGHUP, *OF_WRITES_AND_TERMINALS])  # without a token to be read again
def test_other_signals_end_nothing(server, dial, host, number):
    server.deliver(number)
    assert dial(server, host).ask(b"here\n") == b"here\n"


def test_clients_that_reset_in_the_middle_of_an_answer_kill_nothing(server, dial, host):
    for size in (10, 1000, 100_000):
        for _ in range(20):
            client = dial(server, host)
            client.send(LINES[:size])
            client.reset()
    assert dial(server, host).ask(b"here\n") == b"here\n"
    wait_until(lambda: server.stats()["connected_tcp"] == 2, "the others to be gone")


def test_the_signals_are_read_from_a_signalfd(server):
    blocked = int(server.status("SigBlk"), 16)
    assert all(blocked & 1 << number - 1 for number in ENDINGS)
    links = (os.readlink(entry.path) for entry in os.scandir(f"/proc/{server.pid}/fd"))
    assert "anon_inode:[signalfd]" in links
