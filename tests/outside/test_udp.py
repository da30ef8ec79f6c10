"""UDP: one datagram in, one out."""

import pytest

from harness.lines import TRUNCATED

LARGEST = 65507


@pytest.fixture(scope="module")
def server(module_start):
    return module_start()


@pytest.mark.parametrize(
    "datagram", [b"hello", b"hello\n", b"", b"\n", b"\0", bytes(range(256)), b" /stats", b"one\n/stats\ntwo\n"])
def test_a_datagram_comes_back_verbatim(server, peer, host, datagram):
    assert peer(server, host).ask(datagram) == datagram


@pytest.mark.parametrize("size", [1472, 1473, LARGEST - 1, LARGEST])
def test_a_large_datagram_comes_back_whole(server, peer, host, size):
    datagram = (bytes(range(256)) * 256)[:size]
    assert peer(server, host).ask(datagram) == datagram


def test_ipv6_can_carry_a_datagram_that_is_too_long(server, peer):
    assert peer(server, "::1").ask(b"x" * (LARGEST + 1)) == TRUNCATED


@pytest.mark.parametrize("limit", [1, 100, LARGEST])
def test_max_datagram_sets_the_limit(start, peer, host, limit):
    udp = peer(start(f"--max-datagram={limit}"), host)
    assert udp.ask(b"x" * limit) == b"x" * limit
    if limit < LARGEST:
        assert udp.ask(b"x" * (limit + 1)) == TRUNCATED
        assert udp.ask(b"/" * (limit + 1)) == TRUNCATED
        assert udp.ask(b"x" * LARGEST) == TRUNCATED
    assert udp.ask(b"") == b""


def test_answers_go_to_who_asked(server, peer, host):
    peers = [peer(server, host) for _ in range(60)]
    for udp in peers:
        udp.send(b"from %d" % udp.port)
    for udp in peers:
        assert udp.receive() == b"from %d" % udp.port


# A connected socket hears only the address that it asked.


@pytest.mark.parametrize("asked", ["127.0.0.2", "127.255.255.254"])
def test_another_loopback_address_answers_itself(server, peer, asked):
    assert peer(server, asked).ask(b"you?") == b"you?"
    assert peer(server, asked, source="127.0.0.1").ask(b"you?") == b"you?"


def test_a_secondary_address_answers_itself(server, peer, host, elsewhere):
    assert peer(server, elsewhere[host]).ask(b"you?") == b"you?"
    assert peer(server, elsewhere[host], source=host).ask(b"you?") == b"you?"
    assert peer(server, host, source=elsewhere[host]).ask(b"you?") == b"you?"


def test_a_burst_for_several_addresses_is_answered_by_each(server, peer, host, elsewhere):
    peers = [peer(server, target) for target in (host, elsewhere[host]) * 10]
    for udp in peers:
        udp.send(b"you?")
    assert [udp.receive() for udp in peers] == [b"you?"] * len(peers)


def test_who_does_not_wait_for_the_answer_disturbs_nobody(server, peer, host):
    """Its port is closed when the answer comes, so an ICMP error goes back."""
    for _ in range(50):
        gone = peer(server, host)
        gone.send(b"no answer, please")
        gone.close()
    udp = peer(server, host)
    for number in range(50):
        assert udp.ask(b"%d" % number) == b"%d" % number


@pytest.mark.plain
def test_what_cannot_be_received_for_a_while_waits(start, peer, strace, host):
    """As where a filter of system calls is too strict. The loop does not spin, and says what is wrong."""
    server = start(wrapper=strace("--trace=recvmmsg", "--inject=recvmmsg:error=EPERM:when=1..4"))
    udp = peer(server, host)
    udp.send(b"wait")
    assert server.await_record(msg="cannot receive, datagrams have to wait", proto="udp")
    assert udp.receive() == b"wait"  # after a tick, two, and four
    assert len(server.find(msg="cannot receive, datagrams have to wait")) <= 1
    assert len([line for line in strace.trace() if "recvmmsg(" in line]) <= 8
