"""deploy/nftables on a router before three servers: client, router and servers have a namespace each."""

import contextlib
import re
import shutil
import subprocess

import pytest

from harness.clients import Client
from harness.daemon import Daemon
from harness.network import Namespace, own_namespace
from harness.tree import ROOT
from harness.wait import PATIENCE

SERVERS = {"first": "10.1.1.2", "second": "10.1.2.2", "third": "10.1.3.2"}
ROUTER = "10.1.0.1"


def connect(router, other, number):
    """A cable between ROUTER, as 10.1.NUMBER.1, and OTHER, as 10.1.NUMBER.2."""
    subprocess.run(["ip", "link", "add", f"c{number}", "netns", str(router.holder.pid), "type", "veth", "peer", "name",
                    "eth0", "netns", str(other.holder.pid)], check=True)
    for namespace, device, end in ((router, f"c{number}", 1), (other, "eth0", 2)):
        namespace.run("ip", "addr", "add", f"10.1.{number}.{end}/24", "dev", device)
        namespace.run("ip", "link", "set", device, "up")
    other.run("ip", "route", "add", "default", "via", f"10.1.{number}.1")


@pytest.fixture
def client():
    """A client's namespace, beyond the router that the rules are loaded on."""
    if not own_namespace():
        pytest.skip("needs root and a network namespace of its own: tests/netns")
    if not shutil.which("nft"):
        pytest.skip("nft is not installed: make setup")
    with contextlib.ExitStack() as stack:
        router, client = (stack.enter_context(Namespace()) for _ in range(2))
        connect(router, client, 0)
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        text = (ROOT / "deploy/nftables/epoll-echo.nft").read_text()
        for number, (name, address) in enumerate(SERVERS.items(), 1):
            server = stack.enter_context(Namespace())
            connect(router, server, number)
            stack.enter_context(Daemon(f"--name={name}", port=12345, wrapper=server.enter()))
            text, replaced = re.subn(rf"define {name} = .*", f"define {name} = {address}", text)
            assert replaced == 1
        for _ in range(2):  # the second time it replaces itself
            done = subprocess.run([*router.enter(), "nft", "-f", "-"], input=text, text=True, capture_output=True)
            assert done.returncode == 0, done.stderr
        yield client


def whoami(client, source):
    """What a datagram from port SOURCE is answered, by which server."""
    with client.socket(2, 2) as peer:
        peer.settimeout(PATIENCE)
        peer.bind(("10.1.0.2", source))
        peer.connect((ROUTER, 12345))
        peer.send(b"/whoami".ljust(300))  # long enough for its answer
        first = peer.recv(1000).decode()
        peer.send(b"/whoami".ljust(300))
        assert peer.recv(1000).decode() == first  # a flow stays where it is
    return first


def test_datagrams_are_spread_and_a_flow_stays_where_it_is(client, figure):
    answers = [whoami(client, source) for source in range(30_000, 30_060)]
    for source, answer in zip(range(30_000, 30_060), answers):
        assert answer.startswith(f"proto=udp peer=10.1.0.2:{source} "), answer
    names = [re.search(r" name=(\w+)", answer)[1] for answer in answers]
    counts = {name: names.count(name) for name in SERVERS}
    figure(f"nftables, 60 flows: {counts}")
    assert min(counts.values()) > 0


def test_lines_too(client):
    with client.inside():
        with Client(ROUTER, 12345) as connection:
            assert connection.ask(b"line\n") == b"line\n"
