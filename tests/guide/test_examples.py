# SPDX-License-Identifier: MIT
"""What every example does as an echo, and what each of them teaches."""
import contextlib
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

import record
from harness.wait import wait_until
from programs import BUILD, DEADLINE, ROOT, Server, fill, receive, receive_all

ECHOES = ["level", "edge", "halfclose", "oneshot", "timers-signals"]
if "GUIDE_ECHO" in os.environ:  # somebody's own program, to be held against the common tests
    ECHOES = [os.path.abspath(os.environ["GUIDE_ECHO"])]


@pytest.fixture(params=ECHOES)
def echo(request, start):
    return start(request.param)


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def state(server):
    with open(f"/proc/{server.process.pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def stop(server):
    """From its sleep in epoll_wait(): what is sent from now on is all there when it goes on."""
    wait_until(lambda: state(server) == "S")
    server.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: state(server) == "T")


@pytest.mark.parametrize("words", [["77881"], ["-1"], ["7x"], ["0", "x"]], ids=" ".join)
def test_a_number_that_is_none_is_an_error(words):
    done = subprocess.run([BUILD / "timers-signals", *words], capture_output=True, text=True, timeout=DEADLINE,
                          check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a number from 0 to" in done.stderr


def ask(client, line):
    client.sendall(line)
    assert receive(client, len(line)) == line


# ---- every example ----

def test_echo_returns_any_bytes_in_order(echo):
    data = bytes(range(256)) * 8 + b"\n"
    with echo.connect() as client:
        for _ in range(3):
            ask(client, data)


def test_echo_returns_everything_before_the_end(echo):
    """Half-close with output still owed: a large transfer, then FIN, and not a byte is missing."""
    data = random.Random(1).randbytes(3_000_000).replace(b"#", b"-")  # `#` is work for oneshot
    with echo.connect() as client:
        sender = threading.Thread(target=lambda: (client.sendall(data),
                                                  client.shutdown(socket.SHUT_WR)))
        sender.start()
        assert receive_all(client) == data
        sender.join()


def test_echo_when_a_client_does_not_read(echo):
    with echo.connect(receive_buffer=8192) as client:
        sent = fill(client)
        with echo.connect() as other:
            ask(other, b"meanwhile\n")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == sent


def test_echo_survives_clients_that_vanish(echo):
    steady = echo.connect()
    for _ in range(20):
        client = echo.connect()
        client.sendall(b"unread\n" * 1000)
        reset(client)
        echo.connect().close()
    ask(steady, b"still there\n")
    assert echo.process.poll() is None
    steady.close()


def test_echo_survives_a_reset_in_a_half_closed_connection(echo):
    """The one that raises SIGPIPE at the first send."""
    client = echo.connect()
    ask(client, b"x\n")
    stop(echo)
    client.sendall(b"unread\n" * 1000)
    client.shutdown(socket.SHUT_WR)
    reset(client)
    echo.process.send_signal(signal.SIGCONT)
    with echo.connect() as other:
        ask(other, b"still there\n")
        ask(other, b"and now\n")
    assert echo.process.poll() is None


def is_served(server):
    """Whether a new client gets an echo, or is turned away."""
    client = server.connect()
    try:
        client.sendall(b"x\n")
        if receive(client, 2) == b"x\n":
            return client
    except (ConnectionResetError, BrokenPipeError):
        pass
    client.close()
    return None


@pytest.mark.parametrize("name", ECHOES)
def test_echo_rests_without_descriptors_and_serves_again(start, name):
    """Out of descriptors: clients that do not fit are turned away, and nothing spins."""
    server = start(name, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16)))
    clients = [is_served(server) for _ in range(20)]
    admitted = [client for client in clients if client]
    assert admitted and len(admitted) < len(clients)
    assert count_wakeups(server, 0.3) < 20
    admitted.pop().close()
    wait_until(lambda: is_served(server))  # the server hears of the close when it gets to it


def count_wakeups(server, seconds):
    """How often it was put on a core and taken off in a span of time. One that spins is seen by
    its CPU time, or, where others compete for the core, by the switches."""
    def switches():
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))
    before, cpu = switches(), server.cpu_seconds()
    time.sleep(seconds)  # this is a measurement of rest, not a wait for something
    spent = server.cpu_seconds() - cpu
    assert spent < seconds / 10, f"{spent} s of CPU in {seconds} s"
    return switches() - before


def test_echo_sleeps_while_nothing_can_be_done(echo):
    """Idle, half-closed and blocked clients cost nothing: the loop sleeps."""
    clients = [echo.connect() for _ in range(3)]
    ask(clients[0], b"idle\n")
    fill(clients[1])
    clients[1].shutdown(socket.SHUT_WR)
    assert count_wakeups(echo, 0.5) < 20
    for client in clients:
        client.close()


# ---- edge ----

@pytest.mark.skipif(bool(record.missing("spin")), reason="needs strace")
def test_edge_a_greedy_peer_does_not_starve_the_rest(start):
    """Megabytes and a ping arrive together: the ping is answered after one turn of the others."""
    server = start("edge")
    with server.connect(receive_buffer=4 << 20) as greedy, server.connect() as modest:
        ask(greedy, b"x\n")
        ask(modest, b"x\n")
        stop(server)
        sent = len(fill(greedy))
        modest.sendall(b"ping\n")
        strace = subprocess.Popen(["strace", "-e", "trace=sendto", "-p", str(server.process.pid)],
                                  stderr=subprocess.PIPE, text=True)
        assert "attached" in strace.stderr.readline()
        server.process.send_signal(signal.SIGCONT)
        before = 0  # bytes that went to the greedy one
        for line in strace.stderr:
            if "ping" in line:
                break
            before += int(re.search(r"= (\d+)|$", line).group(1) or 0)
        strace.terminate()
        strace.communicate()
        assert before <= 65536 + 16384 < sent / 4


# ---- halfclose ----

def waits_for_output(server):
    """Whether EPOLLOUT is in one of the masks of its interest list."""
    text = "".join(path.read_text() for path in Path(f"/proc/{server.process.pid}/fdinfo").iterdir())
    return any(int(events, 16) & select.EPOLLOUT
               for events in re.findall(r"^tfd:.*events: *(\w+)", text, re.M))


def test_halfclose_is_seen_while_output_is_blocked(start):
    """The FIN is noticed in a state that does not read, and does not wake the loop again."""
    server = start("halfclose")
    with server.connect(receive_buffer=8192) as client:
        sent = b""
        while not waits_for_output(server):  # until our receive buffer and its send buffer are full
            piece = os.urandom(16384)
            client.sendall(piece)
            sent += piece
        client.shutdown(socket.SHUT_WR)
        assert int(server.wait_for(r"half-closed, (\d+) bytes owed").group(1)) > 0
        assert count_wakeups(server, 0.5) < 20
        assert receive_all(client) == sent
    server.wait_for("finished after")


def test_halfclose_with_bytes_owed(start):
    """A FIN right behind input that is all in the server's hands: EPOLLRDHUP at once."""
    server = start("halfclose")
    with server.connect() as client:
        client.sendall(b"question\n")
        client.shutdown(socket.SHUT_WR)
        server.wait_for("half-closed")
        assert receive_all(client) == b"question\n"
    server.wait_for("finished after [1-4] wakeups")


def test_halfclose_reset_is_told_from_a_goodbye(start):
    server = start("halfclose")
    client = server.connect()
    ask(client, b"x\n")
    reset(client)
    server.wait_for("lost after")


# ---- oneshot ----

def test_oneshot_the_loop_answers_while_threads_work(start):
    """Both threads have work for many seconds, sent first; a light client is answered before."""
    server = start("oneshot")
    heavy = [server.connect() for _ in range(4)]
    for client in heavy:
        client.sendall(b"#" * 15999 + b"\n")
    with server.connect() as light:
        for _ in range(20):
            ask(light, b"light\n")
    assert not select.select(heavy, [], [], 0)[0]  # none of them has an answer yet


def test_oneshot_answers_keep_their_order(start):
    """Heavy and light lines mixed in one connection, in pieces: the stream comes back as it was."""
    server = start("oneshot")
    rng = random.Random(2)
    data = b"".join(b"heavy # %d\n" % i if i % 3 == 0 else b"light %d\n" % i for i in range(100))

    def talk():
        with server.connect() as client:
            rest = data
            while rest:
                cut = rng.randrange(1, 100)
                client.sendall(rest[:cut])
                rest = rest[cut:]
            client.shutdown(socket.SHUT_WR)
            results.append(receive_all(client) == data)

    results = []
    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_oneshot_clients_may_vanish_during_the_work(start):
    server = start("oneshot")
    for _ in range(10):
        client = server.connect()
        client.sendall(b"##\n" * 3)
        reset(client)
    with server.connect() as client:
        ask(client, b"# alive\n")
    assert server.process.poll() is None


@pytest.mark.skipif("sanitize" in os.environ.get("GUIDE_CFLAGS", ""), reason="built otherwise")
def test_oneshot_has_no_data_race(tmp_path):
    program = tmp_path / "oneshot-tsan"
    built = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g",
                            "-fsanitize=thread", "-o", program, ROOT / "examples" / "oneshot.c",
                            "-pthread"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip("no ThreadSanitizer: " + built.stderr.strip().splitlines()[-1])
    log = tmp_path / "report"
    environment = {**os.environ, "TSAN_OPTIONS": f"log_path={log} exitcode=66"}
    server = Server(program, env=environment)
    try:
        clients = [server.connect() for _ in range(4)]
        for _ in range(10):
            for client in clients:
                client.sendall(b"# work\nlight\n" * 3)
            for client in clients:
                assert receive(client, 39) == b"# work\nlight\n" * 3
        for client in clients[:2]:
            client.sendall(b"####\n")
            reset(client)
        for client in clients[2:]:
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
    finally:
        server.stop()
    reports = [path.read_text() for path in tmp_path.glob("report*")]
    assert not reports, reports[0]


# ---- timers-signals ----

def test_timers_close_the_idle_and_spare_the_active(start):
    server = start("timers-signals", 1)
    for _ in range(10):
        with server.connect() as idle, server.connect() as active:
            widest, last, end = 0, time.monotonic(), time.monotonic() + DEADLINE
            try:
                while True:  # speak more often than the limit until the other one is closed
                    ask(active, b"here\n")
                    now = time.monotonic()
                    widest, last = max(widest, now - last), now
                    if select.select([idle], [], [], 0.05)[0]:
                        break
                    assert now < end
                assert idle.recv(1) == b""
                server.wait_for("^idle$")
                assert receive_all(active) == b""  # silent from here on, it is closed as well
                server.wait_for("^idle$")
                return
            except (AssertionError, OSError):
                if max(widest, time.monotonic() - last) < 0.9:
                    raise
                # The machine slept for so long that the active one was idle, too: once more.
    pytest.skip("this machine stands still for a second at a time")


def test_timers_do_not_tick_when_nobody_is_there(start):
    server = start("timers-signals", 1)
    with server.connect() as client:
        assert receive_all(client) == b""
    assert count_wakeups(server, 1.5) < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_input(start, number):
    server = start("timers-signals")
    with server.connect() as client:
        ask(client, b"x\n")
        server.process.send_signal(number)
        server.wait_for(f"signal {number:d}")
        assert server.process.wait(DEADLINE) == 0


@pytest.mark.skipif(not shutil.which("ss"), reason="needs ss (iproute2)")
def test_keepalive_is_on(start):
    server = start("timers-signals")
    with server.connect() as client:
        ask(client, b"x\n")
        sockets = subprocess.run(["ss", "-tnoH", "state", "established",
                                  f"( sport = :{server.port} )"], capture_output=True, text=True)
        assert "timer:(keepalive," in sockets.stdout


# ---- wakeup ----

@pytest.mark.parametrize("threads, each", [(1, 1), (4, 10000), (64, 100), (3, 0), (0, 5)])
def test_wakeup_loses_nothing(threads, each):
    done = subprocess.run([BUILD / "wakeup", str(threads), str(each)], capture_output=True, text=True, timeout=DEADLINE,
                          check=True)
    assert done.stdout == (f"results: {threads * each}, their sum: {threads * each * (each + 1) // 2}, "
                           "events: no more than results\n")


@pytest.mark.skipif("sanitize" in os.environ.get("GUIDE_CFLAGS", ""), reason="built otherwise")
def test_wakeup_has_no_data_race(tmp_path):
    program = tmp_path / "wakeup-tsan"
    built = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O1", "-g", "-fsanitize=thread", "-o", program,
                            ROOT / "examples" / "wakeup.c", "-pthread"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip("no ThreadSanitizer: " + built.stderr.strip().splitlines()[-1])
    done = subprocess.run([program, "4", "2000"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ---- datagrams ----

@pytest.fixture
def peer(start):
    """A function that makes a socket connected to examples/datagrams; the server is its attribute."""
    sockets = []

    def peer():
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].settimeout(DEADLINE)
        sockets[-1].connect(("127.0.0.1", peer.server.port))
        return sockets[-1]

    peer.server = start("datagrams")
    yield peer
    for client in sockets:
        client.close()


def test_datagrams_come_back_whole(peer):
    client = peer()
    for size in (0, 1, 1000, 2047, 2048, 0):
        data = os.urandom(size)
        client.send(data)
        assert client.recv(65536) == data


def test_datagrams_that_are_cut_are_not_answered(peer):
    client = peer()
    client.send(b"x" * 2049)
    client.send(b"y" * 65000)
    client.send(b"after")
    assert client.recv(65536) == b"after"
    peer.server.wait_for("2049 bytes were cut to 2048")
    peer.server.wait_for("65000 bytes were cut to 2048")


def test_datagrams_go_back_to_their_senders(peer):
    clients = [peer() for _ in range(5)]
    for number, client in enumerate(clients * 30):
        client.send(b"%d" % number)
    for first, client in enumerate(clients):
        assert [client.recv(100) for _ in range(30)] == [b"%d" % (first + 5 * i) for i in range(30)]


def test_datagrams_to_who_has_gone_end_nothing(peer):
    for _ in range(20):
        client = peer()
        client.send(b"bye")
        client.close()  # the answer meets nobody, and an ICMP error comes back
    client = peer()
    client.send(b"still there?")
    assert client.recv(100) == b"still there?"


# ---- connect ----

@pytest.fixture
def listener():
    """listener(backlog): a port, and the socket that has it."""
    with contextlib.ExitStack() as stack:
        def listener(backlog=8):
            made = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
            return made.getsockname()[1], made
        yield listener


def connecting(limit, *ports):
    return subprocess.Popen([BUILD / "connect", str(limit), *map(str, ports)], stdout=subprocess.PIPE, text=True)


def outcome(process):
    out = process.communicate(timeout=DEADLINE)[0]
    assert process.returncode == 0
    return dict(re.findall(r"^port (\d+): (.*)$", out, re.M))


def test_connect_tells_how_each_was_decided(listener):
    (open_port, _), (full_port, full) = listener(), listener(0)
    (closed_port, closed) = listener()
    closed.close()
    with contextlib.ExitStack() as waiting:
        record.fill_queue(full_port, waiting)
        found = outcome(connecting(300, open_port, closed_port, full_port))
    assert found[str(open_port)] in ("connected", "connected at once")
    assert found[str(closed_port)] == "Connection refused"
    assert found[str(full_port)] == "no answer within the limit"


@pytest.mark.parametrize("end", ["connected", "Connection refused"])
def test_connect_learns_it_from_the_loop(listener, end):
    """There is room, or nobody any more, when the kernel asks for the second time."""
    port, full = listener(0)
    with contextlib.ExitStack() as waiting:
        record.fill_queue(port, waiting)
        asked = syn_sent(port)
        process = connecting(DEADLINE * 1000, port)
        wait_until(lambda: syn_sent(port) > asked)
        if end == "connected":
            while process.poll() is None:  # those that filled the queue may come first
                if select.select([full], [], [], 0.1)[0]:
                    waiting.enter_context(full.accept()[0])
        else:
            full.close()
        assert outcome(process) == {str(port): end}


def syn_sent(port):
    with open("/proc/net/tcp") as table:
        return table.read().count(f" 0100007F:{port:04X} 02 ")


def test_connect_to_nobody():
    assert outcome(connecting(100)) == {}
