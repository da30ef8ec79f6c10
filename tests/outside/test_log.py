"""The log: logfmt that no client can forge, and none can make grow."""

import pytest

from harness.clients import Client
from harness.lines import BUSY, TOO_LONG, UNKNOWN

NASTY = [
    b"level=error msg=forged", b'" level=error msg=forged "', b"\x1b[31mred\x1b[0m", b"\0\1\2\x7f\x80\xff",
    b"\xe2\x80\xae\xc3\xa9", b"%s%n%x", b"\\n\\",
]


def test_each_listening_socket_has_a_line_with_its_real_port(start):
    """And a time stamp comes first if there is one."""
    server = start("-vv")
    assert server.listening() == [("tcp", f"[::]:{server.tcp_port}"), ("udp", f"[::]:{server.udp_port}")]
    assert all(record["level"] == "info" for record in server.find(msg="listening"))
    assert all("ts" not in list(record)[1:] for record in server.records)


def test_what_clients_send_never_reaches_the_log_raw(start, dial, peer, token_file):
    """That every line is printable logfmt is checked when the server stops."""
    server = start("-vv", f"--shutdown-token-file={token_file}", "--max-datagram=100")
    udp = peer(server)
    for prefix in (b"", b"/", b"/shutdown ", b"x" * 4090):
        for text in NASTY:
            assert dial(server).ask_all(prefix + text + b"\n")
            udp.send((prefix + text)[:65507])
    assert udp.ask(b"marker")
    server.stop()
    assert not [text for text in ("forged", "[31m", "%s%n") if text in server.log_text()]


def misbehave(server, count):
    """Everything that a client can do to be noticed, `count` times."""
    for _ in range(count):
        with Client("127.0.0.1", server.tcp_port) as client:
            client.send(b"/nonsense\n/shutdown wrong\n" + b"x" * 5000 + b"\n" + b"y" * 5000 + b"\n")
            assert client.rest().endswith(TOO_LONG)
        with Client("127.0.0.1", server.tcp_port) as client:
            client.send(b"begun")
            client.reset()


@pytest.mark.parametrize("options", [[], ["-v"], ["-vv"]], ids=["default", "verbose", "debug"])
def test_a_client_cannot_make_the_log_grow_without_bound(start, peer, token_file, options):
    server = start(*options, f"--shutdown-token-file={token_file}")
    udp = peer(server)
    for _ in range(2000):
        udp.send(b"ERR x")
        assert udp.ask(b"/nonsense" + b" " * 20) == UNKNOWN
    misbehave(server, 1000)
    assert server.stats()["total_clients"] >= 2000
    server.stop()
    assert len(server.stderr) < 1000


def test_a_crowd_that_is_turned_away_does_not_fill_the_log(start, dial):
    server = start("--max-tcp=1")
    inmate = dial(server)
    assert inmate.ask(b"in\n") == b"in\n"
    for _ in range(500):
        assert dial(server).rest() == BUSY
    inmate.close()
    server.stop()
    assert len(server.stderr) < 100
