"""The log: logfmt that no client can forge, and none can make grow."""

import pytest

from harness.clients import Client
from harness.lines import TOO_LONG, UNKNOWN



def test_each_listening_socket_has_a_line_with_its_real_port(start):
    """And a time stamp comes first if there is one."""
    server = start("-vv")
    assert server.listening() == [("tcp", f"[::]:{server.tcp_port}"), ("udp", f"[::]:{server.udp_port}")]
    assert all(record["level"] == "info" for record in server.find(msg="listening"))
    assert all("ts" not in list(record)[1:] for record in server.records)


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
