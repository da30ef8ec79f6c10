"""The log: logfmt, and a reader that has stopped. tests/attacks has clients that would make it grow, or forge it."""

import contextlib
import fcntl
import os
import signal
import termios

import pytest

from harness.clients import Client, serves, shown
from harness.daemon import AS_ROOT, parse_logfmt, unused_ports
from harness.wait import wait_until


def test_each_listening_socket_has_a_line_with_its_real_port(start):
    """And a time stamp comes first if there is one."""
    server = start("-vv")
    assert server.listening() == [("tcp", f"[::]:{server.tcp_port}"), ("udp", f"[::]:{server.udp_port}")]
    assert all(record["level"] == "info" for record in server.find(msg="listening"))
    assert all("ts" not in list(record)[1:] for record in server.records)


@contextlib.contextmanager
def both_ends(make):
    ends = make()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def start_unheard(start, stderr, *options, **details):
    """A daemon whose log goes to STDERR, and its port."""
    port = next(unused_ports)
    server = start(f"--port={port}", "-v", *options, port=None, listening=0, stderr=stderr, **details)

    def answers():
        with contextlib.suppress(ConnectionRefusedError):
            return serves(port)

    wait_until(answers, "the daemon to serve")
    return server, port


def make_it_talk(port):
    for _ in range(100):
        with Client("127.0.0.1", port) as client:
            assert client.ask(b"here\n") == b"here\n"


def fill(writing, most):
    """How many bytes of MOST there is room for."""
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    os.set_blocking(writing, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while filled < most:
            filled += os.write(writing, b"x")  # anything longer leaves room that poll(2) does not tell of
    fcntl.fcntl(writing, fcntl.F_SETFL, flags)
    return filled


@pytest.mark.parametrize("make", [os.openpty, os.pipe])
def test_a_reader_that_has_stopped_holds_nothing_up(start, namespace, make):
    with both_ends(make) as (_, writing):
        room = fill(writing, 1_000_000)
    with both_ends(make) as (_, writing):
        fill(writing, room - 200)  # the third line has room in part
        flags = fcntl.fcntl(writing, fcntl.F_GETFL)
        server, port = start_unheard(start, writing)
        make_it_talk(port)
        server.stop()
        assert fcntl.fcntl(writing, fcntl.F_GETFL) == flags


# Its terminal is standard error, and it is not in the foreground there; nor is it an orphan.
IN_THE_BACKGROUND = """
import fcntl, os, signal, sys, termios
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(job, signal.SIGTERM))
_, status = os.waitpid(job, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(job, signal.SIGKILL)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_background_job_may_log_to_a_terminal_that_stops_such(start, namespace):
    """stty tostop: SIGTTOU for who writes from there."""
    with both_ends(os.openpty) as (reading, writing):
        modes = termios.tcgetattr(writing)
        modes[3] |= termios.TOSTOP
        termios.tcsetattr(writing, termios.TCSANOW, modes)
        server, _ = start_unheard(start, writing, wrapper=["/usr/bin/python3", "-c", IN_THE_BACKGROUND])
        assert parse_logfmt(os.read(reading, 5000).splitlines()[0])["msg"] in (AS_ROOT, "listening")
        server.stop()


# Whom the lines tell of


def lives(server):
    """The lines of each connection, by its number."""
    lives = {}
    for record in server.records:
        if "conn" in record:
            lives.setdefault(record["conn"], []).append(record)
    return lives


def test_with_all_lines_every_connection_has_its_two(start):
    """And they can be joined: descriptors and ports come again, numbers do not."""
    server = start("-v", "--log-rate=0")
    count = 2000
    for _ in range(count):
        with Client("127.0.0.1", server.tcp_port) as client:
            client.reset()
    server.stop()
    assert len(lives(server)) == count
    for opened, closed in lives(server).values():
        assert (opened["msg"], closed["msg"]) == ("connected", "closed")
        assert opened["peer"] == closed["peer"] and opened["proto"] == closed["proto"] == "tcp"
    assert not any("suppressed" in record for record in server.records)


def test_a_burst_loses_no_line_where_the_reader_takes_all(start, namespace, tmp_path):
    """As many as can wait come and go at once, which is more than any number a second; a file takes all."""
    count = 3000
    with open(tmp_path / "log", "wb") as file:
        server, port = start_unheard(start, file, "--log-rate=0")
    with server.frozen():
        for _ in range(count):
            Client("127.0.0.1", port).reset()
    server.stop()
    records = [parse_logfmt(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert not any("suppressed" in record for record in records)
    gone = {record["conn"] for record in records if record["msg"] == "closed"}
    assert gone == {record["conn"] for record in records if record["msg"] == "connected"}
    assert len(gone) == count + 1  # and the one that has asked whether it serves


@pytest.mark.parametrize("reset", [False, True])
def test_an_end_names_the_peer_and_what_was_received_and_sent(start, dial, host, reset):
    server = start("-v", "--log-rate=0")
    client = dial(server, host)
    peer = shown(host, client.port)
    assert client.ask(b"hello\n") == b"hello\n"
    assert client.ask(b"/nothing\n") == b"ERR unknown-command\n"
    if reset:
        client.reset()
    else:
        assert client.ask_all(b"") == b""
    closed = server.await_record(msg="closed")
    assert closed["peer"] == peer and closed["conn"] == server.find(msg="connected")[0]["conn"]
    assert (closed["received"], closed["sent"]) == ("15", "26")
    assert closed["reason"] == ("Connection reset by peer" if reset else "end of input")


def test_a_udp_peer_is_told_when_it_is_first_heard(start, peer, host):
    server = start("-v", "--log-rate=0")
    udp = peer(server, host)
    for _ in range(3):
        assert udp.ask(b"hello") == b"hello"
    with peer(server, host) as other:
        other.ask(b"hello")
        heard = [shown(host, each.port) for each in (udp, other)]
    server.stop()
    assert [record["peer"] for record in server.find(msg="peer heard", proto="udp")] == heard


def test_what_is_left_out_is_told_by_its_kind(start, peer):
    """The next line that is written has it: here that of the end, which no client causes."""
    server = start("-v", "--log-rate=1")
    for _ in range(50):
        serves(server.tcp_port)
    for _ in range(30):
        with peer(server) as udp:
            udp.ask(b"hello")
    server.stop()
    left_out = {}
    for record in server.records:
        for kind in filter(None, record.get("left_out", "").split(", ")):
            name, count = kind.rsplit(":", 1)
            left_out[name] = left_out.get(name, 0) + int(count)
    assert left_out.keys() == {"connected", "closed", "peer heard"}
    for name, count in (("connected", 50), ("closed", 50), ("peer heard", 30)):
        assert left_out[name] + len(server.find(msg=name)) == count
    assert sum(int(record.get("suppressed", 0)) for record in server.records) == sum(left_out.values())


# The first line and the last


def test_the_start_tells_version_and_limits(start, token_file):
    server = start("--max-tcp=7", "--idle-timeout=60", "--drain-delay=9", "--name=one",
                   f"--shutdown-token-file={token_file}", "--listen=raw:0/udp", "--listen=http:0", listening=4)
    started = server.await_record(msg="started")
    assert started["version"] and started["root"] == ("yes" if os.geteuid() == 0 else "no")
    expected = {"name": "one", "sockets": "4", "max_tcp": "7", "max_line": "4096", "max_datagram": "65507",
                "idle_timeout_s": "60", "line_timeout_s": "30", "drain_delay_s": "9", "drain_timeout_s": "5",
                "token": "yes"}
    assert expected.items() <= started.items()
    assert {record["role"] for record in server.find(msg="listening")} == {"echo", "raw", "http"}


def test_the_end_tells_the_totals(start, dial, peer):
    server = start()
    with Client("127.0.0.1", server.tcp_port) as client:
        assert client.ask(b"hello\n") == b"hello\n"
    assert peer(server).ask(b"hello") == b"hello"
    server.signal(signal.SIGTERM)
    server.ended()
    assert server.records[-1].items() >= {
        "msg": "stopped", "accepted": "1", "busy": "0", "lines": "1", "datagrams": "1", "answered": "1",
        "dropped": "0", "received": "11", "sent": "11"}.items()
