"""SIGUSR2: the program goes on in its own place, and its clients do not notice."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from harness.clients import Client, Peer, serves
from harness.conversations import Conversations, Datagrams
from harness.daemon import BINARY, BUILD, ROOT
from harness.lines import GOODBYE, TOKEN_INVALID
from harness.wait import wait_until

LISTEN = ["--listen=raw:0", "--listen=faulty:0", "--listen=echo+proxy:0/tcp", "--listen=http:0"]
# Not the build that is ended by what the sandbox refuses: a start tries more than it needs.
PROGRAM = ROOT / "epoll-echo" if BUILD == "plain" else BINARY
# A checking build does more when it starts than the sandbox lets a program do.
SANDBOXES = [pytest.param([], id="sandbox", marks=pytest.mark.plain), pytest.param(["--no-sandbox"], id="no-sandbox")]


def handed_over(server):
    return len(server.find(msg="connections taken over"))


def hand_over(server):
    """Waits until another program serves."""
    before = handed_over(server)
    server.signal(signal.SIGUSR2)
    wait_until(lambda: handed_over(server) > before or server.find(msg="cannot hand over"), "the successor")
    assert not server.find(msg="cannot hand over"), server.log_text()
    wait_until(lambda: len(server.find(msg="started")) > before + 1, "the successor to serve")


def ports(server, proto="tcp"):
    return {record["role"]: int(record["addr"].rpartition(":")[2])
            for record in server.find(msg="listening", proto=proto)}


@pytest.fixture
def serve(start):
    return lambda *options, **details: start(*LISTEN, "--max-tcp=5000", "--socket-buffer=16384", *options, listening=8,
                                             **{"binary": PROGRAM, **details})


@pytest.mark.parametrize("options", SANDBOXES)
@pytest.mark.parametrize("trigger", ["level", "edge"])
def test_nobody_notices(serve, options, trigger):
    """Twenty times, with conversations of every role in the midst of something."""
    server = serve(f"--trigger={trigger}", *options)
    pid, at = server.pid, ports(server)
    udp = ports(server, "udp")
    with Conversations("127.0.0.1", at, 24) as conversations:
        conversations.all.append(Datagrams("127.0.0.1", udp["echo"], udp["faulty"]))
        for _ in range(20 if BUILD == "plain" else 3):
            conversations.through(lambda: hand_over(server))
        assert server.pid == pid and ports(server) == at
        conversations.all.pop().close()
        with Client("127.0.0.1", at["echo"]) as client:
            stats = client.stats()
        assert stats["connected_tcp"] == 25 and stats["active_udp_peers"] == 2
        assert stats["total_clients"] == 25 + 2
        conversations.end()
    assert {record["lost"] for record in server.find(msg="connections taken over")} == {"0"}
    assert {record["ended"] for record in server.find(msg="connections taken over")} == {"0"}


@pytest.mark.parametrize("options", SANDBOXES)
def test_newcomers_are_served_meanwhile(serve, options):
    """Nobody is refused: the listeners go along."""
    server = serve(*options)
    for _ in range(3):
        server.signal(signal.SIGUSR2)
        for _ in range(50):
            assert serves(server.tcp_port, server.udp_port)
    wait_until(lambda: handed_over(server), "one at the least")


def test_what_is_confined_stays_so(serve, token_file):
    server = serve(f"--shutdown-token-file={token_file}", "-vv")
    hand_over(server)
    text = open(f"/proc/{server.pid}/status", encoding="ascii").read()
    if "Seccomp:\t2" in text:
        assert "NoNewPrivs:\t1" in text and "CapEff:\t0000000000000000" in text
        assert os.stat(f"/proc/{server.pid}/fd").st_uid == 0  # it is not dumpable
    with Client("::1", server.tcp_port) as client:  # the token is read anew
        assert client.ask(b"/shutdown wrong\n") == TOKEN_INVALID
        assert client.ask(b"/shutdown open sesame\n") == GOODBYE
    server.ended()


@pytest.fixture
def program(tmp_path):
    """A copy of the daemon, in whose place another can be put."""
    path = tmp_path / "bin" / "epoll-echo"
    path.parent.mkdir()
    shutil.copy(PROGRAM, path)
    return path


def replace(program, content):
    new = program.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(program)


@pytest.mark.parametrize("options", SANDBOXES)
def test_the_file_of_now_is_executed(serve, program, options):
    server = serve(*options, binary=program)
    with Client("::1", server.tcp_port) as client:
        replace(program, program.read_bytes())
        hand_over(server)
        assert os.stat(program).st_ino == os.stat(f"/proc/{server.pid}/exe").st_ino
        assert client.ask(b"here\n") == b"here\n"


@pytest.mark.parametrize("options", SANDBOXES)
@pytest.mark.parametrize("content", [b"#!/bin/false\n", b"not a program", b"\x7fELF cut off", None],
                         ids=["fails", "no-program", "cut", "gone"])
def test_a_program_that_cannot_go_on_does_not(serve, program, options, content):
    """Nothing has changed then, and a later one can."""
    good = program.read_bytes()
    server = serve(*options, binary=program)
    with Client("::1", server.tcp_port) as client:
        client.send(b"half ")
        if content is None:
            program.unlink()
        else:
            replace(program, content)
        server.signal(signal.SIGUSR2)
        record = server.await_record(msg="cannot hand over")
        assert record["path"] == str(program)
        assert client.ask(b"line\n") == b"half line\n"
        replace(program, good)
        server.signal(signal.SIGUSR2)
        wait_until(lambda: handed_over(server), "the successor")
        assert client.ask(b"still\n") == b"still\n"


def test_a_second_signal_while_one_is_tried_is_told(serve, program):
    server = serve("--no-sandbox", binary=program)
    good = program.read_bytes()
    replace(program, b"#!/bin/sh\nsleep 1\n")
    server.deliver(signal.SIGUSR2)
    server.deliver(signal.SIGUSR2)
    server.await_record(msg="nothing is handed over")
    server.await_record(msg="cannot hand over")
    replace(program, good)


def test_at_the_graceful_end_nothing_is_handed_over(serve, dial):
    server = serve("--drain-timeout=20")
    client = dial(server, receive_buffer=4096)
    client.send_in_background(b"line\n" * 400_000, finish=False)
    server.deliver(signal.SIGTERM)
    server.deliver(signal.SIGUSR2)
    server.await_record(msg="nothing is handed over", error="the end is under way")
    client.close()
    server.ended()


# Has its argument's number of descriptors on their way until its input ends.
IN_FLIGHT = """
import os, socket, sys
one, _ = pair = socket.socketpair()
for _ in range(int(sys.argv[1]) // 100):
    socket.send_fds(one, [b"x"], [0] * 100)
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.plain
def test_more_than_may_be_in_flight_stay_where_they_are(serve, dial):
    """unix(7), ETOOMANYREFS: RLIMIT_NOFILE bounds what a user has on its way, root excepted."""
    server = serve("--no-sandbox", "--user=65533", wrapper=("prlimit", "--nofile=256:256"))
    client = dial(server)
    client.send(b"half ")
    with subprocess.Popen(["/usr/bin/python3", "-c", IN_FLIGHT, "500"], user=65533, group=65533,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"sent\n"
        server.signal(signal.SIGUSR2)
        server.await_record(msg="cannot hand over", error=os.strerror(errno.ETOOMANYREFS))
        assert client.ask(b"line\n") == b"half line\n"
        other.stdin.close()
    server.signal(signal.SIGUSR2)
    wait_until(lambda: handed_over(server), "the successor")
    assert client.ask(b"line\n") == b"line\n"


def test_those_that_end_meanwhile_are_let_go(serve, dial):
    server = serve()
    gone, reset, stays = dial(server), dial(server), dial(server)
    for client in (gone, reset, stays):
        assert client.ask(b"here\n") == b"here\n"
    with server.frozen():
        server.signal(signal.SIGUSR2)
        gone.finish()
        reset.reset()
    assert gone.rest() == b""
    assert stays.ask(b"here\n") == b"here\n"
    wait_until(lambda: handed_over(server), "the successor")
    wait_until(lambda: server.stats()["connected_tcp"] == 2, "two connections")


def test_a_wrong_environment_is_no_harm(start):
    for value in ("", "x", "-1", "0", "2", "99999", "1:1", "3:4"):
        server = start(environment={"EPOLL_ECHO_HANDOVER": value})
        assert serves(server.tcp_port, server.udp_port)
        server.stop()


def test_who_holds_a_token_or_a_slot_holds_it_on(start):
    """--max-tcp counts those that were taken over."""
    server = start("--max-tcp=2", binary=PROGRAM)
    with Client("::1", server.tcp_port) as one, Client("::1", server.tcp_port) as two:
        assert one.ask(b"1\n") == b"1\n" and two.ask(b"2\n") == b"2\n"
        hand_over_plain(server)
        with Client("::1", server.tcp_port) as third:
            assert third.rest() == b"Server Busy\n"
        assert one.ask(b"1\n") == b"1\n"


def hand_over_plain(server):
    if BUILD != "plain":
        pytest.skip("a checking build needs --no-sandbox to go on")
    hand_over(server)




# What another program may have left


def pair_of(listening, content, sockets, sealed=True):
    """The end of a flight with CONTENT and SOCKETS, as an earlier version, a later one, or an enemy has it."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near:
        memory = os.memfd_create("state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(memory, content)
        if sealed:
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        socket.send_fds(near, [b"\1"], [memory])
        os.close(memory)
        fds = [s.fileno() for s in (*listening, *sockets)]
        socket.send_fds(near, [bytes([len(fds)])], fds)
    return far


MAGIC = b"epoll-echo state"
OTHERS = {
    "nothing": (b"", True),
    "garbage": (bytes(range(256)) * 40, True),
    "later-version": (MAGIC + struct.pack("<IIIIIIQ", 28, 2, 0, 0, 0, 1, 0), True),
    "cut-off": (MAGIC + struct.pack("<IIIII", 28, 1, 0, 0, 0), True),
    "none-told": (MAGIC + struct.pack("<IIIIIIQQI", 40, 1, 0, 0, 0, 0, 0, 0, 0), True),
    "endless": (MAGIC + struct.pack("<IIIIIIQQI", 40, 1, 0, 0xffffffff, 0xffffffff, 0xffffffff, 0, 0, 0), True),
    "not-sealed": (MAGIC + struct.pack("<IIIIIIQQI", 40, 1, 0, 0, 0, 0, 0, 0, 0), False),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_cannot_be_read_ends_the_connections_politely(start, what):
    """And nothing else: they are told that it is over, and newcomers are served."""
    content, sealed = OTHERS[what]
    with socket.create_server(("127.0.0.1", 0)) as listener, Peer("127.0.0.1", 9) as stranger:
        clients = [Client("127.0.0.1", listener.getsockname()[1]) for _ in range(3)]
        sockets = [listener.accept()[0] for _ in clients]
        for s in sockets:
            s.setblocking(False)
        with pair_of([stranger.socket, listener], content, sockets, sealed) as far:
            for s in sockets:
                s.close()
            server = start(environment={"EPOLL_ECHO_HANDOVER": str(far.fileno())}, pass_descriptors=[far.fileno()])
        record = server.await_record(msg="connections taken over", count="0", ended="3", lost="0")
        assert record["level"] == "warning"
        for client in clients:
            assert client.rest() == b""
        assert serves(server.tcp_port, server.udp_port)
        assert server.stats()["connected_tcp"] == 1
