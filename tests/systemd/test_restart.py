# SPDX-License-Identifier: MIT
"""A restart that clients do not notice, under a real systemd, and what comes of it where it fails."""
import signal
import statistics
import subprocess
import threading
import time

import pytest

from test_service import (PORT, SERVICE, STANDALONE, as_installed, await_state, drop_in,  # noqa: F401
                          main_pid, options, state)

from harness.clients import Client, Peer, serves
from harness.conversations import Conversations, Datagrams, was_reset
from harness.wait import wait_until

PORTS = {"echo": 2345, "raw": 2346, "faulty": 2347, "echo+proxy": 2348}
OWN = ("--port=2345 --listen=raw:2346 --listen=faulty:2347 --listen=echo+proxy:2348/tcp --max-tcp=5000 "
       "--socket-buffer=16384")
PROGRAM = "/usr/local/bin/epoll-echo"


@pytest.fixture
def standalone(guest):
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    options(guest, OWN)
    guest.run("systemctl", "start", STANDALONE)
    return STANDALONE


def taken_over(guest, unit):
    """What the latest process has told of it."""
    *_, last = guest.journal("ECHO_EVENT=connections taken over", f"_SYSTEMD_UNIT={unit}")
    return {key: int(last[f"ECHO_{key.upper()}"]) for key in ("count", "ended", "lost")}


def test_nobody_notices(guest, standalone, figure):
    """Twenty restarts, with conversations of every role in the midst of something."""
    pids = {main_pid(guest, standalone)}
    with Conversations("127.0.0.1", PORTS, 24) as conversations:
        conversations.all.append(Datagrams("127.0.0.1", PORTS["echo"], PORTS["faulty"]))

        def restart():
            guest.run("systemctl", "restart", standalone)
            pids.add(main_pid(guest, standalone))
            assert taken_over(guest, standalone) == {"count": 24, "ended": 0, "lost": 0}

        for _ in range(20):
            conversations.through(restart)
        conversations.all.pop().close()
        conversations.end()
    assert len(pids) == 21
    figure("20 restarts: 24 conversations of each role, 0 bytes lost or doubled, 0 resets")


def test_what_was_counted_goes_on(guest):
    with Client("::1", PORT) as client, Peer("::1", PORT) as peer:
        assert client.ask(b"first\n") == b"first\n" and peer.ask(b"x") == b"x"
        before = client.stats()
        guest.run("systemctl", "restart", SERVICE)
        after = client.stats()
        assert after["total_clients"] == before["total_clients"] == 2
        assert after["active_udp_peers"] == 1 and after["connected_tcp"] == 1
        assert after["tcp_lines"] > before["tcp_lines"] and after["uptime_s"] >= before["uptime_s"]


@pytest.mark.parametrize("count", [100, 1000])
def test_the_pause_is_told(guest, figure, count):
    """How long an answer took at the most, while the service was restarted."""
    options(guest, "--max-tcp=5000")
    clients = [Client("::1", PORT) for _ in range(count)]
    pauses = []
    try:
        assert all(client.ask(b"here\n") == b"here\n" for client in clients)
        for _ in range(5):
            restart = subprocess.Popen(guest.command("systemctl", "restart", SERVICE))
            worst = 0
            while restart.poll() is None:
                begun = time.monotonic()
                assert clients[0].ask(b"now\n") == b"now\n"
                worst = max(worst, time.monotonic() - begun)
            assert restart.returncode == 0
            pauses.append(worst * 1000)
        assert all(client.ask(b"here\n") == b"here\n" for client in clients)
    finally:
        for client in clients:
            client.close()
    figure(f"5 restarts with {count} connections: pause {statistics.median(pauses):.0f} ms, at most {max(pauses):.0f}")


def test_without_a_store_it_is_a_graceful_end(guest):
    drop_in(guest, "FileDescriptorStoreMax=0")
    with Client("::1", PORT) as client:
        assert client.ask(b"before\n") == b"before\n"
        guest.run("systemctl", "restart", SERVICE)
        assert client.rest() == b""
    assert guest.journal("ECHO_EVENT=cannot hand over", f"_SYSTEMD_UNIT={SERVICE}")
    assert serves(PORT, PORT)


def test_connections_wait_for_a_program_that_starts(guest):
    """It fails for a while; what is in the store is served when it does not any more."""
    program = guest.path(PROGRAM)
    good = program.read_bytes()
    with Client("::1", PORT) as client:
        client.send(b"half ")
        assert serves(PORT)
        program.unlink()
        program.write_bytes(b"#!/bin/false\n")
        program.chmod(0o755)
        try:
            guest.run("systemctl", "restart", SERVICE, check=False)
            wait_until(lambda: int(guest.show(SERVICE, "NRestarts")) >= 2, "attempts in vain")
            client.send(b"line\n")
            assert client.silent()
        finally:
            program.unlink()
            program.write_bytes(good)
            program.chmod(0o755)
        assert client.line() == b"half line\n"
    await_state(guest, "active")


def test_stop_lets_nobody_wait(guest):
    """A stop is told from a restart: everybody gets a clean end, and nothing stays in the store."""
    with Client("::1", PORT) as client:
        assert client.ask(b"before\n") == b"before\n"
        guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
        assert client.rest() == b""
    assert guest.show(SERVICE, "NFileDescriptorStore") == "0"


def test_nothing_stays_in_the_store(guest):
    with Client("::1", PORT) as client:
        for _ in range(3):
            assert client.ask(b"here\n") == b"here\n"
            guest.run("systemctl", "restart", SERVICE)
            assert client.ask(b"here\n") == b"here\n"
            wait_until(lambda: guest.show(SERVICE, "NFileDescriptorStore") == "0", "an empty store")
        client.finish()
        assert client.rest() == b""  # nobody else holds it


def test_restarts_at_once(guest):
    with Client("::1", PORT) as client:
        assert client.ask(b"here\n") == b"here\n"
        for _ in range(3):
            both = [subprocess.Popen(guest.command("systemctl", "restart", SERVICE)) for _ in range(2)]
            assert [restart.wait(60) for restart in both] == [0, 0]
            assert client.ask(b"here\n") == b"here\n"


def test_a_restart_in_the_midst_of_a_drain(guest):
    """The end goes on, and a process comes after it."""
    options(guest, "--drain-timeout=3")
    with Client("::1", PORT, receive_buffer=4096) as slow, Client("::1", PORT) as client:
        assert client.ask(b"here\n") == b"here\n"
        slow.clog(b"line\n" * 400_000)
        guest.run("systemctl", "stop", "--no-block", SERVICE)
        assert client.rest() == b""
        guest.run("systemctl", "restart", SERVICE)
    assert serves(PORT, PORT) and state(guest) == "active"


def test_a_kill_loses_them(guest):
    """As ever: what nobody has handed over is gone, and the next client is served."""
    with Client("::1", PORT) as client:
        assert client.ask(b"here\n") == b"here\n"
        guest.run("kill", f"-{signal.SIGKILL.value}", main_pid(guest))
        assert was_reset(client) or client.rest() == b""
    assert serves(PORT, PORT)


def test_those_that_end_meanwhile_are_let_go(guest):
    with Client("::1", PORT) as gone, Client("::1", PORT) as reset, Client("::1", PORT) as stays:
        for client in (gone, reset, stays):
            assert client.ask(b"here\n") == b"here\n"
        guest.run("kill", "-STOP", main_pid(guest))
        gone.finish()
        reset.reset()
        guest.run("systemctl", "restart", SERVICE)  # which wakes it up
        assert gone.rest() == b""
        assert stays.ask(b"here\n") == b"here\n"
        wait_until(lambda: stays.stats()["connected_tcp"] == 1, "one connection")


def test_newcomers_wait_and_are_not_refused(guest, figure):
    """The sockets of a service that opened them itself go along too."""
    guest.run("systemctl", "stop", "epoll-echo.socket", SERVICE)
    options(guest, "--port=2345")
    guest.run("systemctl", "start", STANDALONE)
    served, over = [], threading.Event()

    def come():
        while not over.is_set():
            served.append(serves(2345, 2345))

    thread = threading.Thread(target=come)
    thread.start()
    try:
        for _ in range(5):
            guest.run("systemctl", "restart", STANDALONE)
    finally:
        over.set()
        thread.join()
    figure(f"5 restarts of a service with sockets of its own: {len(served)} newcomers, none refused")
    assert all(served)
