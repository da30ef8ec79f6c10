"""Level-triggered or edge-triggered: whatever a client does, it sees the same of both."""

import contextlib
import random
import select
import socket

import pytest

from harness.clients import Client
from harness.lines import random_bytes, random_line

SCRIPTS = 1500
QUICK = 0.002  # seconds between two pieces, sometimes: the server has taken one then, and sometimes not


def script(rng):
    """What a client does: (bytes, out of band, wait after it), and whether it ends its side."""
    steps = []
    for _ in range(rng.randrange(1, 8)):
        piece = rng.choice([random_line(rng, overlong=True), random_bytes(rng, rng.randrange(1, 40)),
                            b"/whoami x\n/nothing\n" * rng.randrange(1, 200), b"\n", b"/help\n"])
        cut = rng.randrange(1, len(piece) + 1)
        steps += [(part, rng.random() < 0.1, rng.random() < 0.3) for part in (piece[:cut], piece[cut:]) if part]
    return steps


def play(server, steps):
    """All that comes back, up to the end."""
    with Client("127.0.0.1", server.tcp_port) as client:
        for piece, urgent, wait in steps:
            with contextlib.suppress(OSError):  # after two overlong lines the server may have ended it
                client.socket.send(piece, socket.MSG_OOB) if urgent else client.send(piece)
            if wait:
                select.select([client.socket], [], [], QUICK)
        with contextlib.suppress(OSError):
            client.finish()
        answer = client.rest()
    return answer.replace(b"peer=127.0.0.1:%d " % client_port(answer), b"peer=? ")


def client_port(answer):
    begin = answer.find(b"peer=127.0.0.1:")
    return int(answer[begin + 15:].split(b" ")[0]) if begin >= 0 else 0


@pytest.mark.plain
def test_random_scripts_end_alike(start):
    servers = [start(f"--trigger={trigger}") for trigger in ("level", "edge")]
    for seed in range(SCRIPTS):
        steps = script(random.Random(seed))
        answers = [play(server, steps).replace(b":%d\n" % server.tcp_port, b":?\n") for server in servers]
        assert answers[0] == answers[1], f"script of seed {seed}"


@pytest.mark.parametrize("pieces, answer", [
    ([b"ab", (b"c",), b"d\n"], b"abcd\n"),
    ([b"ab", (b"\n",)], b"ab\n"),
    ([(b"x",), b"\n"], b"x\n"),
    ([b"a\n", (b"b",), (b"c",), b"\n"], b"a\nbc\n"),
])
def test_urgent_bytes_stand_in_the_stream(start, trigger, dial, pieces, answer):
    client = dial(start(f"--trigger={trigger}"))
    for piece in pieces:
        if isinstance(piece, tuple):
            client.socket.send(piece[0], socket.MSG_OOB)
        else:
            client.send(piece)
        client.delivered()
    assert client.read(len(answer)) == answer
    client.finish()
    assert client.rest() == b""
