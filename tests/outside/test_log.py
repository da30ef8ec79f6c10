"""The log: logfmt that no client can forge, and none can make grow."""

import contextlib
import fcntl
import os
import resource
import termios

import pytest

from harness.clients import Client, serves
from harness.daemon import parse_logfmt, unused_ports
from harness.lines import TOO_LONG, UNKNOWN
from harness.wait import wait_until


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


# A reader of standard error that has stopped, and what else may become of a write


def test_a_connection_that_was_reset_is_named_until_its_end(start, dial):
    """Each by the address that it was accepted with, also if it was gone by then."""
    server = start("-v")
    ports = []
    for asks in (True, False, False):
        with server.frozen() if not asks else contextlib.nullcontext():
            client = dial(server)
            ports.append(client.port)
            if asks:
                client.ask(b"here\n")
            client.reset()
    for message in ("connected", "closed"):
        for port in ports:
            server.await_record(msg=message, peer=f"127.0.0.1:{port}")
    assert len(server.find(msg="closed")) == len(ports)


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
        assert parse_logfmt(os.read(reading, 5000).splitlines()[0])["msg"] == "listening"
        server.stop()


def test_a_file_at_its_limit_ends_nothing_and_has_whole_lines_again_when_there_is_room(start, namespace, tmp_path):
    path = tmp_path / "log"
    with path.open("ab") as log:
        server, port = start_unheard(
            start, log, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY)))
    make_it_talk(port)
    assert path.stat().st_size == 1000
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.stop()
    records = [parse_logfmt(line) for line in path.read_bytes().splitlines()]
    assert "suppressed" in records[-2] and [record["msg"] for record in records[-2:]] == ["stopping", "stopped"]
