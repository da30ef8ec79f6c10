# SPDX-License-Identifier: MIT
"""What goes into a service manager's store, sd_pid_notify_with_fds(3), and comes out of it; without systemd."""
import contextlib
import signal
import socket
import subprocess

import pytest

from harness.clients import Client
from harness.wait import PATIENCE, wait_until


class Store:
    """A service manager that keeps what it is given, or refuses to."""

    def __init__(self, keeps=True):
        self.address, self.keeps, self.kept = "@epoll-echo-store", keeps, None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind("\0" + self.address[1:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        if self.kept:
            self.kept.close()

    def await_line(self, wanted):
        """Takes messages until one has that line. What is to be stored is; what is a barrier is lifted."""
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, 10)
            lines = data.decode().splitlines()
            for fd in fds:
                if "FDSTORE=1" in lines and self.keeps:
                    assert "FDNAME=connections" in lines and "FDPOLL=0" in lines
                    self.kept = socket.socket(fileno=fd)
                else:
                    socket.close(fd)
            if "FDSTOREREMOVE=1" in lines and self.kept:
                self.kept.close()
                self.kept = None
            if wanted in lines:
                return lines


@pytest.fixture
def store():
    with Store() as store:
        yield store


@pytest.fixture
def begin(start, store):
    """Starts a daemon, with what is kept if anything is."""

    def begin(*options, **details):
        kept = [store.kept] if store.kept else []
        server = start(*["--port=0"] * len(kept), *options, NOTIFY_SOCKET=store.address, sockets=kept,
                       LISTEN_FDNAMES="connections", **details)
        store.await_line("READY=1")
        server.await_record(msg="started")
        return server

    return begin


def leave(server, store):
    server.signal(signal.SIGUSR2)
    store.await_line("BARRIER=1")
    server.ended()


def test_one_descriptor_holds_all(begin, store):
    first = begin()
    port = first.tcp_port
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client("127.0.0.1", port)) for _ in range(600)]
        for client in clients:
            client.send(b"half ")
        assert clients[0].ask(b"line\n") == b"half line\n"
        first.settle()
        leave(first, store)
        second = begin()
        store.await_line("FDSTOREREMOVE=1")
        second.await_record(msg="connections taken over", count="600", ended="0", lost="0")
        assert second.tcp_port == port
        for client in clients[1:]:
            assert client.ask(b"line\n") == b"half line\n"


def test_who_is_killed_while_it_takes_them_over_has_taken_nothing(begin, start, store):
    """They lie in the store until another has said that it serves."""
    first = begin()
    with Client("127.0.0.1", first.tcp_port) as client:
        client.send(b"half ")
        first.settle()
        leave(first, store)
        for _ in range(3):
            dies = start("--port=0", NOTIFY_SOCKET=store.address, sockets=[store.kept],
                         LISTEN_FDNAMES="connections")
            dies.await_record(msg="connections taken over", count="1")
            dies.kill()
        begin()
        assert client.ask(b"line\n") == b"half line\n"


def goes_on(client):
    try:
        return client.ask(b"here\n") == b"here\n"
    except OSError:
        return False


def test_who_has_no_descriptors_takes_what_it_can(begin, store):
    first = begin()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client("127.0.0.1", first.tcp_port)) for _ in range(300)]
        assert all(client.ask(b"here\n") == b"here\n" for client in clients)
        leave(first, store)
        second = begin(wrapper=("prlimit", "--nofile=200:200"))
        record = second.await_record(msg="connections taken over")
        assert record["level"] == "warning" and int(record["lost"]) > 100
        assert int(record["count"]) + int(record["lost"]) == 300
        store.await_line("FDSTOREREMOVE=1")
        answered = [client for client in clients if goes_on(client)]
        assert len(answered) == int(record["count"]) == answered[0].stats()["connected_tcp"]


def test_a_store_that_refuses_makes_it_a_graceful_end(start):
    with Store(keeps=False) as store:
        server = start(NOTIFY_SOCKET=store.address)
        store.await_line("READY=1")
        with Client("127.0.0.1", server.tcp_port) as client:
            assert client.ask(b"here\n") == b"here\n"
            server.signal(signal.SIGUSR2)
            store.await_line("BARRIER=1")
            store.await_line("FDSTOREREMOVE=1")
            store.await_line("STOPPING=1")
            assert client.rest() == b""
        server.ended()
        assert server.find(msg="cannot hand over")


def test_a_manager_that_does_not_answer_is_not_waited_for_for_ever(start, store):
    server = start(NOTIFY_SOCKET=store.address)
    store.await_line("READY=1")
    with Client("127.0.0.1", server.tcp_port) as client:
        assert client.ask(b"here\n") == b"here\n"
        server.signal(signal.SIGUSR2)  # and nobody lifts the barrier
        server.await_record(msg="cannot hand over", error="Connection timed out")
        assert client.rest() == b""
    server.ended()


def test_its_own_sockets_go_along(begin, store):
    """And what was asked for otherwise meanwhile is opened anew."""
    first = begin("--listen=raw:0/tcp", "--listen=discard:0/tcp")
    ports = {record["role"]: record["addr"] for record in first.find(msg="listening", proto="tcp")}
    leave(first, store)
    with Client("127.0.0.1", int(ports["raw"].rpartition(":")[2])) as waits:  # in the listener's queue
        waits.send(b"bytes")
        second = begin("--listen=raw:0/tcp", "--listen=http:0")
        store.await_line("FDSTOREREMOVE=1")
        now = {record["role"]: record["addr"] for record in second.find(msg="listening", proto="tcp")}
        assert now["echo"] == ports["echo"] and now["raw"] == ports["raw"] and set(now) == {"echo", "raw", "http"}
        assert waits.read(5) == b"bytes"
    wait_until(lambda: subprocess.run(["ss", "-Hltn", f"sport = :{ports['discard'].rpartition(':')[2]}"],
                                      capture_output=True, check=True).stdout == b"", "discard's port to be closed")
