"""UDP cannot be made a weapon: what is never answered, and what dies out.

That an answer does not come is seen on the wire: after the question in doubt an
ordinary one is sent, and its answer must be the first thing that the server says.
"""

import socket
import time

import pytest

from harness import network
from harness.clients import new_socket
from harness.lines import UNKNOWN
from harness.wait import PATIENCE

pytestmark = pytest.mark.usefixtures("namespace")

FORGER = {"127.0.0.1": "127.0.0.66", "::1": "::1"}
PADDING = b" " * 500


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


def forge_at(port_of, source, target, data=b"forged"):
    network.forge(source, (target, port_of), data, device="lo")


# Source ports


@pytest.mark.parametrize("port", [0, 1, 7, 19, 1023])
def test_a_low_source_port_is_not_answered(server, watch, sink, host, port):
    for question in (b"forged", b"", b"/time" + PADDING):
        forge_at(sink.getsockname()[1], (FORGER[host], port), host, question)
        assert sink.recv(1000) == question
        forge_at(server.udp_port, (FORGER[host], port), host, question)
    assert watch.said() == []


@pytest.mark.parametrize("port", [1024, 65535])
def test_other_source_ports_are_answered(server, watch, host, port):
    forge_at(server.udp_port, (FORGER[host], port), host)
    assert [(p.target, p.data) for p in watch.said()] == [((FORGER[host], port), b"forged")]


def test_the_servers_own_port_is_not_answered_whatever_the_address(server, watch, sink, host):
    for source in {host, FORGER[host]}:
        forge_at(sink.getsockname()[1], (source, server.udp_port), host)
        assert sink.recv(100) == b"forged"
        forge_at(server.udp_port, (source, server.udp_port), host)
    echoed = [p for p in watch.said() if p.target[1] == server.udp_port and p.data == b"forged"]
    assert len(echoed) == len({host, FORGER[host]})  # the forged ones, and nothing came of them


# Broadcast and multicast


@pytest.mark.parametrize("source", ["255.255.255.255", "127.255.255.255", "224.0.0.1", "239.255.255.250"])
def test_a_broadcast_or_multicast_source_is_not_answered(server, peer, sink, source):
    with Watch(server, peer, "127.0.0.1") as watch:
        forge_at(sink.getsockname()[1], (source, 5000), "127.0.0.1")
        assert sink.recv(100) == b"forged"
        forge_at(server.udp_port, (source, 5000), "127.0.0.1")
        assert watch.said() == []


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


# Errors are not answered with errors


@pytest.mark.parametrize("datagram", [b"ERR ", b"ERR unknown-command\n", b"ERR " + bytes(60000)])
def test_an_error_is_not_answered(server, peer, host, datagram):
    udp = peer(server, host)
    udp.send(datagram)
    assert udp.ask(b"marker") == b"marker"


@pytest.mark.parametrize("datagram", [b"ERR", b"ERR\n", b"ERRx", b"err x", b" ERR x", b"xERR "])
def test_what_only_looks_like_an_error_is_answered(server, peer, host, datagram):
    assert peer(server, host).ask(datagram) == datagram


# Hop limits


@pytest.mark.parametrize("hops", [2, 3, 64, 255])
@pytest.mark.parametrize("question", ["echo", "", "/nonsense", "/time"])
def test_an_answer_has_one_hop_less_than_the_question(server, watch, peer, host, hops, question):
    udp = peer(server, host, hops=hops)
    question = question.encode() + PADDING * question.startswith("/")
    udp.ask(question)
    assert [answer.hops for answer in watch.said(udp.port)] == [hops - 1]


def test_each_answer_of_a_burst_has_its_own_hop_limit(server, watch, peer, host):
    udp = peer(server, host)
    for hops in range(1, 41):
        udp.set_hops(hops)
        udp.send(b"%d" % hops)
    assert sorted((int(p.data), p.hops) for p in watch.said(udp.port)) == [(h, h - 1) for h in range(2, 41)]


def test_a_question_at_its_last_hop_is_not_answered(server, peer, host):
    udp = peer(server, host, hops=1)
    for question in (b"echo", b"", b"/time" + PADDING):
        udp.send(question)
    udp.set_hops(64)
    assert udp.ask(b"marker") == b"marker"


def test_an_overlong_datagram_is_answered_likewise(start, peer, host):
    """With one hop less, and not if it is an error."""
    server = start("--max-datagram=100")
    udp = peer(server, host, hops=9)
    with Watch(server, peer, host) as watch:
        udp.send(b"ERR " + bytes(1000))
        udp.ask(b"x" * 101)
        assert [p.hops for p in watch.said(udp.port)] == [8]


@pytest.mark.parametrize("question, hops", [(b"ping", 64), (b"ping", 255), (b"/time" + PADDING, 20)])
def test_two_servers_exchange_one_forged_datagram_until_its_hops_are_used_up(server, start, host, question, hops):
    other = start()
    with network.Sniffer(server.udp_port, other.udp_port) as sniffer:
        network.forge((host, other.udp_port), (host, server.udp_port), question, hops)
        seen = sniffer.until(lambda packet: packet.hops == 1)
        assert [packet.hops for packet in seen] == list(range(hops, 0, -1))
        assert_quiet(sniffer, server, other, host=host)


def test_two_servers_do_not_exchange_errors(server, start, host):
    other = start()
    with network.Sniffer(server.udp_port, other.udp_port) as sniffer:
        network.forge((host, other.udp_port), (host, server.udp_port), b"/nonsense" + PADDING)
        seen = sniffer.until(lambda packet: packet.source[1] == server.udp_port)
        assert [packet.data for packet in seen[1:]] == [UNKNOWN]
        assert_quiet(sniffer, server, other, host=host)


def assert_quiet(sniffer, *servers, host):
    """Nothing goes between the servers any more: only these questions and their answers."""
    ports = {server.udp_port for server in servers}
    for server in servers:
        network.forge((host, 5000), (host, server.udp_port), b"quiet?")
        seen = sniffer.until(lambda packet: packet.target[1] == 5000)
        assert not [p for p in seen if {p.source[1], p.target[1]} <= ports]


# The rate of answers that are longer than their question


def count_answers(sockets, question, rounds):
    """Asks in turn from every socket; returns the answers and the seconds that it took."""
    begun = time.monotonic()
    answers = 0
    for _ in range(rounds):
        for udp in sockets:
            udp.send(question)
            udp.send(b"marker")
            while udp.receive() != b"marker":
                answers += 1
    return answers, time.monotonic() - begun


@pytest.mark.parametrize("question", ["/stats", "/time\n", "/whoami", "/help", "/", "/shutdown"])
def test_one_source_gets_ten_longer_answers_a_second(start, peer, host, question):
    answers, seconds = count_answers([peer(start(), host)], question.encode(), 200)
    assert 10 <= answers <= 10 * (seconds + 2)


def test_all_sources_together_get_a_hundred_longer_answers_a_second(start, peer):
    server = start()
    peers = [peer(server, source=f"127.0.1.{number}") for number in range(1, 101)]
    answers, seconds = count_answers(peers, b"/stats", 8)
    assert 100 <= answers <= 100 * (seconds + 2)


def test_a_question_as_long_as_its_answer_is_always_answered(server, peer, host):
    udp = peer(server, host)
    for _ in range(150):
        for command in (b"/stats", b"/help", b"/nonsense"):
            assert udp.ask(command + PADDING).endswith(b"\n")


def test_the_rate_of_one_source_is_not_used_up_by_another(start, peer):
    server = start()
    greedy = count_answers([peer(server, source="127.0.1.1")], b"/stats", 50)
    modest = peer(server, source="127.0.1.2")
    assert greedy[0] >= 10 and modest.ask(b"/stats").startswith(b"total_clients=")


# Memory for peers


@pytest.mark.plain
def test_memory_for_peers_is_bounded_under_a_flood_of_forged_sources(start, peer):
    server = start()
    marker = peer(server)
    marker.ask(b"warm up")
    before = server.memory()
    total = 40_000
    for number in range(total):
        source = (f"127.9.{number >> 16}.{number >> 8 & 255}", 1024 + (number & 255))
        network.forge(source, ("127.0.0.1", server.udp_port), b"x")
        if number % 100 == 0:
            marker.ask(b"wait for me")
    stats = server.stats()
    assert stats["total_clients"] > total // 2
    assert stats["active_udp_peers"] <= total + 1
    assert server.memory() - before < 2 << 20
