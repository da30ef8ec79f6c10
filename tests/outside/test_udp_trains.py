"""Datagrams that arrive as one message (udp(7), UDP_GRO) are answered as if each had come alone.

Who sends with UDP_SEGMENT has them arrive so on loopback, and so does a network card that joins them.
"""

import ctypes
import fcntl
import random
import socket
import struct

import pytest

from harness import lines, network
from harness.clients import Peer
from harness.wait import PATIENCE

UDP_SEGMENT = 103
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
LARGEST = 65507
SIZES = [(64, 16, 64), (64, 16, 7), (1200, 40, 1200), (1200, 40, 1), (1, 64, 1), (1448, 45, 100), (9000, 7, 17),
         (20_000, 3, 1)]


class Train(Peer):
    """A peer that sends several datagrams at once."""

    def __init__(self, host, port, source=None):
        super().__init__(host, port, source)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)

    def send_all(self, datagrams):
        """All but the last have one size, and the last is no longer."""
        size = len(datagrams[0])
        assert all(len(one) == size for one in datagrams[:-1]) and 0 < len(datagrams[-1]) <= size
        self.socket.sendmsg([b"".join(datagrams)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))])

    def answers(self, datagrams, marker=b"end of it"):
        """What comes back for them: they are sent as one message, then a datagram that is an echo for sure."""
        self.send_all(datagrams)
        self.send(marker)
        came = []
        while not came or came[-1] != marker:
            came.append(self.receive())
        return came[:-1]


@pytest.fixture(scope="module")
def server(module_start):
    return module_start("--listen=raw:0/udp", "--listen=discard:0/udp", "--listen=faulty:0/udp", listening=5)


def port_of(server, role):
    return next(int(one["addr"].rsplit(":", 1)[1]) for one in server.find(msg="listening", role=role, proto="udp"))


def pieces(size, count, last):
    return [bytes([97 + n % 26]) * size for n in range(count - 1)] + [b"Z" * last]


def padded(size, *datagrams):
    return [one.ljust(size) for one in datagrams]


@pytest.mark.parametrize("size, count, last", SIZES)
@pytest.mark.parametrize("role", ["echo", "raw"])
def test_each_comes_back(server, host, role, size, count, last):
    with Train(host, port_of(server, role)) as train:
        assert train.answers(pieces(size, count, last)) == pieces(size, count, last)


def test_commands_and_errors_among_them_are_answered_apart(server, host):
    sent = [*padded(40, b"one", b"two", b"/time", b"ERR three", b"four", b"ERR five", b"ERR six", b"/none", b"seven"), b"/"]
    wanted = [lines.pattern(one, "udp") for one in sent if not one.startswith(b"ERR ")]
    with Train(host, server.udp_port) as train:
        came = train.answers(sent)
    assert len(came) == len(wanted)
    for answer, pattern in zip(came, wanted):
        assert lines.re.fullmatch(pattern, answer)


def test_raw_takes_all_of_them_as_they_are(server, host):
    sent = [*padded(20, b"/time", b"ERR three", b"/none"), b"ERR "]
    with Train(host, port_of(server, "raw")) as train:
        assert train.answers(sent) == sent


def test_more_commands_than_a_batch_holds_are_all_answered(server, host):
    with Train(host, server.udp_port) as train:
        assert train.answers([b"/no-such-command-at-all"] * 64) == [lines.UNKNOWN] * 64


def test_at_random(server, host):
    numbers = random.Random(7)
    with Train(host, server.udp_port) as train:
        for _ in range(200):
            size = numbers.randrange(len(lines.UNKNOWN), 1400)
            count = numbers.randrange(2, min(64, LARGEST // size))
            sent = [numbers.choice([b"/none", b"ERR ", b"one", b"two", b"three"]).ljust(size, b".")
                    for _ in range(count - 1)] + [b"l" * numbers.randrange(1, size + 1)]
            wanted = [lines.UNKNOWN if one.startswith(b"/") else one for one in sent if not one.startswith(b"ERR ")]
            assert train.answers(sent) == wanted


def test_each_is_held_against_the_longest_that_is_taken(start, host):
    with Train(host, start("--max-datagram=50").udp_port) as train:
        assert train.answers(pieces(50, 20, 3)) == pieces(50, 20, 3)
        assert train.answers(pieces(51, 3, 50)) == [lines.TRUNCATED] * 2 + [b"Z" * 50]


def test_each_is_counted(start, host):
    server = start("--listen=discard:0/udp", listening=3)
    with Train(host, server.udp_port) as train:
        before = stats(train)
        train.answers(padded(30, *[b"one", b"ERR two", b"three"] * 10))
        after = stats(train)
        assert after["udp_answered"] - before["udp_answered"] == 20 + 2  # and the marker, and what tells
        assert after["udp_dropped"] - before["udp_dropped"] == 10
    with Train(host, port_of(server, "discard")) as train:
        train.send_all(pieces(100, 33, 1))
    server.stop()
    assert server.find(msg="stopped")[-1]["datagrams"] == str(30 + 3 + 33)


def stats(train):
    return {name: int(value) for name, _, value in (pair.partition("=") for pair in train.ask(b"/stats").decode().split())
            if value.isdigit()}


def test_a_delay_among_them_holds_up_no_other(server, host):
    with Train(host, port_of(server, "faulty")) as train:
        assert train.answers(padded(30, b"one", b"/delay 200 late", b"two")) == padded(30, b"one", b"two")
        assert train.receive().strip() == b"late"


@pytest.mark.plain
def test_a_train_is_answered_by_one_call(start, host, strace):
    server = start(wrapper=strace("--trace=recvmmsg,sendmmsg"))
    with Train(host, server.udp_port) as train:
        train.send_all(pieces(100, 40, 7))
        assert [train.receive() for _ in range(40)] == pieces(100, 40, 7)
    server.stop()
    assert len([line for line in strace.trace() if "sendmmsg(" in line]) == 1


@pytest.mark.plain
@pytest.mark.parametrize("error", ["EIO", "EINVAL", "EMSGSIZE", "EPERM"])
def test_what_the_kernel_does_not_cut_goes_out_one_by_one(start, host, strace, error):
    server = start(wrapper=strace("--trace=sendmmsg", f"--inject=sendmmsg:error={error}:when=1"))
    with Train(host, server.udp_port) as train:
        train.send_all(pieces(100, 40, 7))
        assert [train.receive() for _ in range(40)] == pieces(100, 40, 7)


def test_options_of_ip_do_not_matter(server):
    """A datagram with such does not travel with others."""
    with Train("127.0.0.1", server.udp_port) as train:
        train.socket.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00")
        assert train.answers(pieces(100, 10, 3)) == pieces(100, 10, 3)


@pytest.fixture(scope="module")
def link(namespace):
    """A client at the other end of a wire, whose name on this side is `wire`."""
    with network.Namespace() as client:
        network.ip("link", "add", "wire", "type", "veth", "peer", "name", "end")
        network.ip("link", "set", "end", "netns", str(client.holder.pid))
        for run, device, number in ((network.ip, "wire", 1), (client.run, "end", 2)):
            words = () if run == network.ip else ("ip",)
            run(*words, "link", "set", device, "up")
            run(*words, "addr", "add", f"10.77.20.{number}/24", "dev", device)
            run(*words, "addr", "add", f"fd00:77:20::{number}/64", "dev", device, "nodad")
        yield client
        network.ip("link", "del", "wire")


def ask_over(client, address, port, sent):
    """What comes back for SENT, one message, as a set: on a wire they may overtake each other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with client.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE)
        asking.connect((address, port))
        asking.sendmsg([b"".join(sent)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", len(sent[0])))])
        return sorted(asking.recv(65536) for _ in sent)


def set_link(*words):
    network.ip("link", "set", "wire", *words)


def set_checksums(on):
    """Whether the device makes them: ethtool -K wire tx on."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, on))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, struct.pack("16sP", b"wire", ctypes.addressof(value)))


SETTINGS = {
    "as it is": lambda: None,
    "narrow": lambda: set_link("mtu", "1280"),
    "no train": lambda: set_link("gso_max_segs", "1"),
    "no checksum": lambda: set_checksums(False),
}


@pytest.mark.parametrize("address", ["10.77.20.1", "fd00:77:20::1"], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_way_back_may_be_another(start, link, address, setting):
    """A message that the server's own link does not take whole, nor cut as the questions were."""
    server = start()
    SETTINGS[setting]()
    try:
        sent = pieces(1400, 30, 17)
        assert ask_over(link, address, server.udp_port, sent) == sorted(sent)
    finally:
        set_link("mtu", "1500", "gso_max_segs", "65535")
        set_checksums(True)
