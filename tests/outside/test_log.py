"""The log: logfmt that no client can forge, and none can make grow."""

import pytest

from harness import TOO_LONG, Client

NASTY = [
    b"level=error msg=forged",
    b'" level=error msg=forged "',
    b"\x1b[31mred\x1b[0m",
    b"\0\1\2\x7f\x80\xff",
    b"\xe2\x80\xae\xc3\xa9",
    b"%s%n%x",
    b"\\n\\",
]


def test_each_listening_socket_has_a_line_with_its_real_port(start):
    server = start()
    lines = server.find(level="info", msg="listening")
    assert [(line["proto"], line["addr"]) for line in lines] == [
        ("tcp", f"[::]:{server.tcp_port}"),
        ("udp", f"[::]:{server.udp_port}"),
    ]


def test_a_time_stamp_comes_first_if_there_is_one(start):
    for line in start("-vv").stderr:
        words = [word.partition(b"=")[0] for word in line.split()]
        assert words[0] == b"ts" or b"ts" not in words


def test_what_clients_send_never_reaches_the_log_raw(start, dial, peer, token_file):
    """That every line is printable logfmt is checked when the server stops."""
    server = start("-vv", f"--shutdown-token-file={token_file}", "--max-datagram=100")
    udp = peer(server)
    for prefix in (b"", b"/", b"/shutdown ", b"x" * 4090):
        for text in NASTY:
            client = dial(server)
            client.send(prefix + text + b"\n")
            client.finish()
            assert client.rest()
            udp.send((prefix + text)[:65507])
    assert udp.ask(b"marker")
    server.stop()
    for text in (b"forged", b"[31m", b"%s%n"):
        assert text not in b"".join(server.stderr)


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
        assert udp.ask(b"/nonsense" + b" " * 20) == b"ERR unknown-command\n"
    misbehave(server, 1000)
    assert server.stats()["total_clients"] >= 2000
    server.stop()
    assert len(server.stderr) < 1000


def test_a_crowd_that_is_turned_away_does_not_fill_the_log(start, dial):
    server = start("--max-tcp=1")
    inmate = dial(server)
    assert inmate.ask(b"in\n") == b"in\n"
    for _ in range(500):
        with Client("127.0.0.1", server.tcp_port) as client:
            assert client.rest() == b"Server Busy\n"
    inmate.close()
    server.stop()
    assert len(server.stderr) < 100
