"""UDP cannot be made a weapon: what is never answered, and what dies out.

That an answer does not come is seen on the wire: after the question in doubt an
ordinary one is sent, and its answer must be the first thing that the server says.
"""

import contextlib
import socket

import pytest

from harness import network
from harness.clients import new_socket
from harness.wait import PATIENCE

pytestmark = pytest.mark.usefixtures("namespace")

FORGER = {"127.0.0.1": "127.0.0.66", "::1": "::1"}
PADDING = b" " * 500
ROUNDS_MOST = 16384


@pytest.fixture(scope="module")
def server(module_start):
    return module_start()


class Watch(network.Sniffer):
    """Everything that a server's UDP socket says on the loopback device."""

    def __init__(self, server, peer, host):
        super().__init__(server.udp_port)
        self.server, self.peer, self.host = server, peer, host

    def said(self, to=None):
        """The server's answers so far, all or those to one port."""
        marker = self.peer(self.server, self.host)
        marker.send(b"marker")
        seen = self.until(lambda packet: packet.target[1] == marker.port)[:-1]
        return [p for p in seen if p.source[1] == self.server.udp_port and to in (None, p.target[1])]


@pytest.fixture
def watch(server, peer, host):
    with Watch(server, peer, host) as watch:
        yield watch


def plain_socket(address):
    """What reaches this would reach a server that is bound to the same address."""
    sink = new_socket(address, socket.SOCK_DGRAM)
    if ":" in address:
        sink.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sink.bind((address, 0))
    sink.settimeout(PATIENCE)
    return sink


@pytest.fixture
def sink():
    with plain_socket("::") as sink:
        yield sink


# Broadcast and multicast


@pytest.fixture(scope="module")
def neighbour(namespace):
    """Another machine, as far as the kernel is concerned, on an Ethernet with this one."""
    with network.Namespace() as neighbour:
        network.ip("link", "add", "near", "type", "veth", "peer", "name", "far")
        network.ip("link", "set", "far", "netns", str(neighbour.holder.pid))
        for number, device, run in ((1, "near", network.ip), (2, "far", lambda *words: neighbour.run("ip", *words))):
            run("addr", "add", f"10.77.2.{number}/24", "broadcast", "10.77.2.255", "dev", device)
            run("addr", "add", f"fd00:77:2::{number}/64", "dev", device, "nodad")
            run("addr", "add", f"fe80::77:{number}/64", "dev", device, "nodad")
            run("link", "set", device, "up")
        neighbour.run("ip", "route", "add", "default", "via", "10.77.2.1")
        yield neighbour
        network.ip("link", "del", "near")


def test_an_address_of_one_link_only_answers_itself(server, neighbour):
    """It means nothing without its link: the answer says which one that is."""
    with neighbour.inside():
        far = socket.if_nametoindex("far")
    with neighbour.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
        asker.settimeout(PATIENCE)
        asker.connect(("fe80::77:1", server.udp_port, 0, far))
        asker.send(b"/whoami" + b" " * 200)
        near = socket.if_nametoindex("near")
        assert b"local=[fe80::77:1%%%d]:%d\n" % (near, server.udp_port) in asker.recv(1000)


@pytest.mark.parametrize("target, bind", [
    ("10.77.2.255", "::"),
    ("255.255.255.255", "::"),
    ("10.77.2.255", "0.0.0.0"),
    ("255.255.255.255", "0.0.0.0"),
    ("224.0.0.1", "0.0.0.0"),  # which the kernel does not pass to dual-stack sockets
    ("ff02::1", "::"),
])
def test_a_broadcast_or_multicast_target_is_not_answered(server, start, neighbour, sink, target, bind):
    if bind == "0.0.0.0":
        server, sink = start("--bind=0.0.0.0"), plain_socket(bind)
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    unicast = "fd00:77:2::1" if ":" in target else "10.77.2.1"
    with neighbour.socket(family, socket.SOCK_DGRAM) as asking, sink:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"far")
        asking.sendto(b"for many", (target, sink.getsockname()[1]))
        assert sink.recv(100) == b"for many"
        port = asking.getsockname()[1]
        with network.Sniffer(port, device="far", sockets=neighbour.socket) as sniffer:
            for question in (b"for many", b"/time" + PADDING):
                asking.sendto(question, (target, server.udp_port))
            asking.sendto(b"for you", (unicast, server.udp_port))
            assert [packet.data for packet in sniffer.until(lambda _: True)] == [b"for you"]


# Hop limits


@pytest.mark.parametrize("hops", [2, 3, 64, 255])
@pytest.mark.parametrize("question", ["echo", "", "/nonsense", "/time"])
def test_an_answer_has_one_hop_less_than_the_question(server, watch, peer, host, hops, question):
    udp = peer(server, host, hops=hops)
    question = question.encode() + PADDING * question.startswith("/")
    udp.ask(question)
    assert [answer.hops for answer in watch.said(udp.port)] == [hops - 1]


def test_an_overlong_datagram_is_answered_likewise(start, peer, host):
    """With one hop less, and not if it is an error."""
    server = start("--max-datagram=100")
    udp = peer(server, host, hops=9)
    with Watch(server, peer, host) as watch:
        udp.send(b"ERR " + bytes(1000))
        udp.ask(b"x" * 101)
        assert [p.hops for p in watch.said(udp.port)] == [8]


# Loops


def test_another_echo_service_is_not_talked_to_for_ever(server, peer, host):
    """It sends what it gets back with a hop limit of its own."""
    other = peer(server, host)
    other.socket.settimeout(1)
    answers = 0
    other.send(b"forged")
    with contextlib.suppress(TimeoutError):
        while answers <= ROUNDS_MOST:
            other.send(other.receive())
            answers += 1
    assert 1000 < answers <= ROUNDS_MOST
    assert other.ask(b"and another one") == b"and another one"


def test_no_own_port_is_answered(start, peer, dial, host):
    """Wherever it is said to be: others may have their services on the same ports."""
    server = start("--listen=echo:0/udp", listening=3)
    other = next(int(addr.rpartition(":")[2]) for proto, addr in server.listening()
                 if proto == "udp" and not addr.endswith(f":{server.udp_port}"))
    for source in (host, FORGER[host]):
        for port in (server.udp_port, other):
            network.forge((source, port), (host, server.udp_port), b"forged", device="lo")
    assert peer(server, host).ask(b"marker") == b"marker"
    stats = dial(server).stats()
    assert (stats["udp_answered"], stats["udp_dropped"], stats["active_udp_peers"]) == (1, 4, 1)
