"""The log: logfmt, and a reader that has stopped. tests/attacks has clients that would make it grow, or forge it."""

import contextlib
import fcntl
import os
import termios

import pytest

from harness.clients import Client, serves
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
