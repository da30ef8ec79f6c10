"""deploy/swarm's stack on one node: two replicas, and a rolling update under load."""

import collections
import contextlib
import re
import threading

import pytest

from harness.clients import Client, Peer
from harness.network import ip
from harness.steps import steps
from harness.tree import ROOT
from harness.wait import PATIENCE, wait_until

SERVICE = "echo_epoll-echo"
ADDRESS = "10.77.0.1"


@pytest.fixture(scope="module")
def stack(docker):
    """The stack with two replicas that are healthy; their ports are docker's choice."""
    ip("link", "add", "node", "type", "veth", "peer", "name", "other")
    ip("addr", "add", f"{ADDRESS}/24", "dev", "node")
    for end in ("node", "other"):
        ip("link", "set", end, "up")
    docker("swarm", "init", "--advertise-addr", ADDRESS, "--listen-addr", ADDRESS)
    docker.environment["PUBLISHED"] = "0"
    try:
        docker.script(steps("swarm"), ROOT)
        wait_until(lambda: len(published(docker, "tcp")) == 2, "two healthy replicas")
        yield docker
        docker("stack", "rm", "echo")
        wait_until(lambda: not docker("ps", "-q").strip(), "the end of the stack")
    finally:
        docker("swarm", "leave", "--force", check=False)
        ip("link", "del", "node")


def published(docker, proto):
    """The ports of the replicas that are healthy."""
    told = docker("ps", "--filter", "health=healthy", "--format", "{{.Ports}}")
    return set(re.findall(rf"(?:0\.0\.0\.0):(\d+)->12345/{proto}", told))


class Clients:
    """Connections that ask one line after another, and come back where the server has ended them."""

    def __init__(self, docker):
        self.docker = docker
        self.counts = collections.Counter()
        self.over = threading.Event()
        self.ports = {proto: published(docker, proto) for proto in ("tcp", "udp")}
        turns = [self._watch, *[self._converse] * 3, self._send]
        self.threads = [threading.Thread(target=self._repeat, args=(turn,), daemon=True) for turn in turns]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.await_more()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(4 * PATIENCE)

    def __str__(self):
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items()))

    def await_more(self):
        wanted = self.counts["lines answered"] + 100
        wait_until(lambda: self.counts["lines answered"] >= wanted, "answers")

    def _repeat(self, turn):
        while not self.over.is_set():
            try:
                turn()
            except Exception as error:  # what it was is counted
                self.counts[f"lost: {turn.__name__} {type(error).__name__}"] += 1

    def _watch(self):
        self.ports = {proto: published(self.docker, proto) for proto in ("tcp", "udp")}

    def _connect(self):
        """To the first port that takes it, as a client does who knows all nodes."""
        for port in sorted(self.ports["tcp"]):
            with contextlib.suppress(ConnectionRefusedError):
                return Client(ADDRESS, int(port))
            self.counts["refused, and the next one asked"] += 1
        raise ConnectionRefusedError

    def _converse(self):
        with self._connect() as client:
            while not self.over.is_set():
                answer = client.ask(b"line\n")
                if answer != b"line\n":
                    assert answer == b"", answer
                    self.counts["connections ended cleanly"] += 1
                    return
                self.counts["lines answered"] += 1

    def _send(self):
        for port in sorted(self.ports["udp"]):
            with Peer(ADDRESS, int(port)) as peer:
                peer.socket.settimeout(1)
                with contextlib.suppress(ConnectionRefusedError, TimeoutError):
                    assert peer.ask(b"datagram") == b"datagram"
                    self.counts["datagrams answered"] += 1
                    return
            self.counts["datagram unanswered, and the next one asked"] += 1
        raise TimeoutError


def tasks(docker):
    return set(docker("ps", "-q", "--no-trunc").split())


def test_two_replicas_serve(stack):
    local = set()
    for port in published(stack, "tcp"):
        with Client(ADDRESS, int(port)) as client:
            local.add(re.search(rb" local=(\S+):12345", client.ask(b"/whoami\n"))[1])
    assert len(local) == 2


def test_a_rolling_update_loses_nobody(stack, figure):
    before = tasks(stack)
    with Clients(stack) as clients:
        stack("service", "update", "--force", "--detach", SERVICE)
        wait_until(lambda: len(tasks(stack) & before) < 2, "the end of one replica")
        wait_until(lambda: not tasks(stack) & before, "the end of the other")
        wait_until(lambda: len(published(stack, "tcp")) == 2, "two new replicas")
        clients.await_more()
    figure(f"rolling update of two replicas: {clients}")
    assert not [outcome for outcome in clients.counts if outcome.startswith("lost")]
    assert clients.counts["connections ended cleanly"] >= 2
