"""The roles raw and discard: RFC 862 and RFC 863, for bytes and for datagrams."""

import random

import pytest

from harness import network
from harness.lines import TRUNCATED
from harness.wait import wait_until

LARGEST = 65507
RANDOM = random.Random(862).randbytes(5_000_000)


@pytest.fixture(scope="module")
def server(module_start, trigger):
    return module_start(f"--trigger={trigger}", "--line-timeout=1", "--listen=raw:0", "--listen=discard:0",
                        listening=6)


@pytest.fixture
def raw(server, dial, host):
    return dial(server, host, port=server.port_of("tcp", role="raw"))


@pytest.fixture
def discard(server, dial, host):
    return dial(server, host, port=server.port_of("tcp", role="discard"))


# raw over TCP


@pytest.mark.parametrize("sent", [b"no end of a line", b"/stats\n", b"/shutdown x\n", b"\0", RANDOM[:100_000]],
                         ids=["no-lf", "command", "shutdown", "nul", "random"])
def test_bytes_come_back_as_they_arrive(raw, sent):
    raw.send(sent)
    assert raw.read(len(sent)) == sent


def test_after_the_last_byte_all_comes_back_and_then_the_end(raw):
    raw.send_in_background(RANDOM)
    assert raw.rest() == RANDOM


def test_who_does_not_read_is_not_read_from_and_loses_nothing(server, dial):
    raw = dial(server, port=server.port_of("tcp", role="raw"), receive_buffer=4096)
    sent = raw.clog(RANDOM * 4)
    server.settle()
    assert sent < 4 * len(RANDOM)
    raw.finish()
    assert raw.rest() == (RANDOM * 4)[:sent]


def test_there_is_no_line_that_could_be_late(server, dial, raw):
    """A line that begins later, on another port, is late before it."""
    raw.send(b"begun")
    assert raw.read(5) == b"begun"
    assert dial(server).ask(b"begun") == b"ERR line-timeout\n"
    raw.send(b", and not ended")
    assert raw.read(15) == b", and not ended"


@pytest.mark.parametrize("role, answer", [("raw", b"here"), ("discard", b"")])
def test_the_idle_timeout_holds(start, dial, role, answer):
    client = dial(start("--port=none", "--idle-timeout=1", f"--listen={role}:0/tcp", port=None, listening=1))
    client.send(b"here")
    assert client.rest() == answer


# raw over UDP


@pytest.mark.parametrize("datagram", [b"", b"/stats", b"/shutdown x", b"ERR x", b"PROXY", RANDOM[:LARGEST]],
                         ids=["empty", "command", "shutdown", "error", "proxy", "largest"])
def test_every_datagram_comes_back(server, peer, host, datagram):
    assert peer(server, host, port=server.port_of("udp", role="raw")).ask(datagram) == datagram


def test_the_guards_that_look_at_no_content_hold(start, peer, namespace):
    server = start("--listen=raw:0/udp", listening=3)
    port = server.port_of("udp", role="raw")
    for source, hops in ((7, 64), (port, 64), (server.udp_port, 64), (40000, 1)):
        network.forge(("127.0.0.1", source), ("127.0.0.1", port), b"ERR ", hops=hops, device="lo")
    assert peer(server, port=port).ask(b"ERR ") == b"ERR "
    stats = server.stats()
    assert (stats["udp_answered"], stats["udp_dropped"]) == (1, 4)


def test_what_is_longer_than_max_datagram_is_told_so(start, peer):
    server = start("--port=none", "--max-datagram=100", "--listen=raw:0/udp", port=None, listening=1)
    assert peer(server).ask(b"x" * 101) == TRUNCATED


# discard


def test_bytes_are_taken_and_an_end_is_answered_by_an_end(discard):
    assert discard.ask_all(RANDOM + b"\n/stats\nend\n") == b""


def test_nothing_is_said_while_the_connection_is_open(server, discard):
    discard.send(b"hello\n/stats\n" + RANDOM[:100_000])
    discard.delivered()
    server.settle()
    assert discard.silent()


def test_datagrams_are_taken_and_never_answered(start, peer, host):
    server = start("--listen=discard:0/udp", "--max-datagram=100", listening=3)
    udp = peer(server, host, port=server.port_of("udp", role="discard"))
    for datagram in (b"", b"hello", b"/stats", b"x" * 101):
        udp.send(datagram)
    wait_until(lambda: server.stats()["active_udp_peers"] == 1)
    server.settle()
    udp.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        udp.receive()
    stats = server.stats()
    assert (stats["udp_answered"], stats["udp_dropped"]) == (0, 0)
