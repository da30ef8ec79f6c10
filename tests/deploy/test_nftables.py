"""deploy/nftables on a router before three servers: client, router and servers have a namespace each."""

import contextlib
import re
import shutil
import signal
import subprocess

import pytest

from harness import pages
from harness.clients import Client
from harness.daemon import Daemon
from harness.load import Load
from harness.network import Namespace, own_namespace
from harness.tree import ROOT
from harness.wait import PATIENCE, wait_until

SERVERS = {"first": "10.1.1.2", "second": "10.1.2.2", "third": "10.1.3.2"}
ROUTER = "10.1.0.1"
PORT, PAGES = 12345, 9100
ENDS = 20

# Those of the load: more than it uses, for a router takes a datagram from the same address and port for
# one of the flow that it knows.
CLIENTS = [f"10.1.0.{number}" for number in range(10, 30)]
FIRST_PORT, PORTS = 20_000, 30_000


def connect(router, other, number):
    """A cable between ROUTER, as 10.1.NUMBER.1, and OTHER, as 10.1.NUMBER.2."""
    subprocess.run(["ip", "link", "add", f"c{number}", "netns", str(router.holder.pid), "type", "veth", "peer", "name",
                    "eth0", "netns", str(other.holder.pid)], check=True)
    for namespace, device, end in ((router, f"c{number}", 1), (other, "eth0", 2)):
        namespace.run("ip", "addr", "add", f"10.1.{number}.{end}/24", "dev", device)
        namespace.run("ip", "link", "set", device, "up")
    other.run("ip", "route", "add", "default", "via", f"10.1.{number}.1")


class Network:
    """The client, the router with the rules, and what is behind it."""

    def __init__(self, stack):
        self.stack = stack
        self.router, self.client = (stack.enter_context(Namespace()) for _ in range(2))
        connect(self.router, self.client, 0)
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.places, self.daemons = {}, {}
        for number, name in enumerate(SERVERS, 1):
            self.places[name] = stack.enter_context(Namespace())
            connect(self.router, self.places[name], number)
            self.launch(name)
        for _ in range(2):  # the second time it replaces itself
            self.spread(SERVERS)

    def launch(self, name):
        daemon = self.daemons[name] = self.stack.enter_context(Daemon(
            f"--name={name}", f"--listen=http:{PAGES}", "--drain-delay=3600", port=PORT, listening=3,
            wrapper=self.places[name].enter()))
        self.stack.callback(daemon.deliver, signal.SIGTERM)  # the next one skips the delay

    def spread(self, names):
        """Loads the rules, with these servers in all of the three places."""
        text = (ROOT / "deploy/nftables/epoll-echo.nft").read_text()
        names = list(names)
        for number, place in enumerate(SERVERS):
            address = SERVERS[names[number % len(names)]]
            text, replaced = re.subn(rf"define {place} = .*", f"define {place} = {address}", text)
            assert replaced == 1
        done = subprocess.run([*self.router.enter(), "nft", "-f", "-"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    def page(self, name, path):
        with self.places[name].inside():
            return pages.get(PAGES, path)

    def end(self, name):
        """Takes one out, ends it once it has no client left, and puts it in again."""
        daemon = self.daemons[name]
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: self.page(name, "/readyz").status == 503, f"{name} to tell that it drains")
        self.spread(other for other in SERVERS if other != name)
        wait_until(lambda: b"\nepoll_echo_connections 0\n" in self.page(name, "/metrics").body, f"{name} to be empty")
        daemon.signal(signal.SIGTERM)  # for its delay need not be over
        daemon.ended()
        self.launch(name)
        self.spread(SERVERS)


@pytest.fixture
def network():
    if not own_namespace():
        pytest.skip("needs root and a network namespace of its own: tests/netns")
    if not shutil.which("nft"):
        pytest.skip("nft is not installed: make setup")
    with contextlib.ExitStack() as stack:
        yield Network(stack)


@contextlib.contextmanager
def flow(network, source):
    """ask() sends a datagram from port SOURCE and returns what comes for it, which tells the server."""
    with network.client.socket(2, 2) as peer:
        peer.settimeout(PATIENCE)
        peer.bind(("10.1.0.2", source))
        peer.connect((ROUTER, PORT))

        def ask():
            peer.send(b"/whoami".ljust(300))  # long enough for its answer
            return peer.recv(1000).decode()

        yield ask


def name_in(answer):
    return re.search(r" name=(\w+)", answer)[1]


def whoami(network, source):
    with flow(network, source) as ask:
        first = ask()
        assert ask() == first  # a flow stays where it is
    return first


def test_datagrams_are_spread_and_a_flow_stays_where_it_is(network, figure):
    answers = [whoami(network, source) for source in range(30_000, 30_060)]
    for source, answer in zip(range(30_000, 30_060), answers):
        assert answer.startswith(f"proto=udp peer=10.1.0.2:{source} "), answer
    names = [name_in(answer) for answer in answers]
    counts = {name: names.count(name) for name in SERVERS}
    figure(f"nftables, 60 flows: {counts}")
    assert min(counts.values()) > 0


def test_lines_too(network):
    with network.client.inside():
        with Client(ROUTER, PORT) as connection:
            assert connection.ask(b"line\n") == b"line\n"


def fresh(turn):
    """The router, from an address and port that no turn has come from before."""
    return ROUTER, (CLIENTS[turn // PORTS], FIRST_PORT + turn % PORTS)


@pytest.fixture
def load(network):
    for address in CLIENTS:
        network.client.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    load = Load(PORT, way=fresh)
    with network.client.inside():
        load.__enter__()
    with contextlib.ExitStack() as stack:
        stack.push(load)
        yield load


def test_of_twenty_that_end_no_new_flow_loses_its_question(network, load, figure):
    for turn in range(ENDS):
        network.end(list(SERVERS)[turn % len(SERVERS)])
        load.await_more()
    figure(f"nftables, {ENDS} ends: {load}")
    assert load.counts.keys() == {"answered", "udp answered"}


def test_a_flow_of_datagrams_stays_until_the_router_forgets_it(network):
    """As the comment in the rules has it."""
    command = re.search(r"`(conntrack [^`]+)`", (ROOT / "deploy/nftables/epoll-echo.nft").read_text())[1].split()
    if not shutil.which(command[0]):
        pytest.skip("conntrack is not installed: make setup")
    with flow(network, 30_000) as ask:
        name = name_in(ask())
        network.spread(other for other in SERVERS if other != name)
        assert name_in(ask()) == name
        network.router.run(*(SERVERS[name] if word == "ADDRESS" else word for word in command))
        assert name_in(ask()) != name
