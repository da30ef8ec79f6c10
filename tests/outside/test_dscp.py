"""The DSCP of an answer by UDP: its question's with --dscp=reflect, else none; never its ECN mark."""

import socket

import pytest

from harness.wait import PATIENCE

TOS = {socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS, socket.IP_RECVTOS),
       socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS)}
EF, AF41, CS1 = 46 << 2, 34 << 2, 8 << 2
ECN = 1  # ECT(1)


class Marked:
    """A UDP client that sends what it wants in the traffic class, and sees the answers'."""

    def __init__(self, host, port):
        self.to = (host, port)
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.level, self.option, tell = TOS[self.family]
        self.socket.setsockopt(self.level, tell, 1)

    def send(self, data, mark):
        self.socket.setsockopt(self.level, self.option, mark)
        self.socket.sendto(data, self.to)

    def receive(self):
        data, control, _, _ = self.socket.recvmsg(65536, 256)
        (mark,) = [value for level, _, value in control if level == self.level]
        return data, mark[0]

    def ask(self, data, mark):
        self.send(data, mark)
        return self.receive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.mark.parametrize("role", ["echo", "raw"])
@pytest.mark.parametrize("bound, asked", [("127.0.0.1:", "127.0.0.1"), ("", "127.0.0.1"), ("", "::1")],
                         ids=["ipv4", "ipv4-dual", "ipv6"])
def test_the_dscp_is_reflected_and_ecn_is_not(start, role, bound, asked):
    server = start("--port=none", "--dscp=reflect", f"--listen={role}:{bound}0/udp", port=None, listening=1)
    with Marked(asked, server.udp_port) as client:
        assert client.ask(b"here", EF | ECN) == (b"here", EF)
        assert client.ask(b"here", 0) == (b"here", 0)


def test_each_answer_of_a_burst_has_the_dscp_of_its_own_question(start, host):
    server = start("--dscp=reflect")
    marks = [EF, 0, AF41, CS1, AF41 | ECN, 0] * 5
    with Marked(host, server.udp_port) as client:
        with server.frozen():
            for number, mark in enumerate(marks):
                client.send(b"%d" % number, mark)
        assert [client.receive() for _ in marks] == [(b"%d" % n, mark & ~3) for n, mark in enumerate(marks)]


def test_a_text_that_is_answered_has_it_too(start, host):
    with Marked(host, start("--dscp=reflect").udp_port) as client:
        assert client.ask(b"/nonsense" + b" " * 100, EF) == (b"ERR unknown-command\n", EF)


@pytest.mark.parametrize("options", [[], ["--dscp=0"]], ids=["default", "0"])
def test_without_the_option_there_is_none(start, host, options):
    with Marked(host, start(*options).udp_port) as client:
        assert client.ask(b"here", EF | ECN) == (b"here", 0)
