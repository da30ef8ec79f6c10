"""--probe: one message to a server, and an exit status that tells what came of it."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import network
from harness.clients import new_socket, shown
from harness.daemon import BINARY, ROOT, run
from harness.wait import PATIENCE, wait_until

BUSY, WRONG_USAGE = 3, 2
MESSAGE = re.compile(rb"probe [0-9a-f]{16}\n")
STATIC = ROOT / "build/static/epoll-echo"
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
RESET = b"\1\0\0\0\0\0\0\0"  # a struct linger: close by RST


@pytest.fixture(scope="module")
def server(module_start):
    return module_start()


def probe(where):
    """The exit status, and what is said without the words in front of it."""
    done = run(f"--probe={where}")
    assert done.stdout == b""
    said = done.stderr.decode()
    assert said.count("\n") == (0 if done.returncode == 0 else 1)
    return done.returncode, said.removeprefix(f"epoll-echo: {where}: ").removesuffix("\n")


# The daemon


@pytest.mark.parametrize("where", [
    "127.0.0.1:{}", "[::1]:{}", "localhost:{}", "[::ffff:127.0.0.1]:{}", "0.0.0.0:{}", "[::]:{}", "[::1%lo]:{}",
])  # fmt: skip
@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_a_server_that_echoes_is_well(server, where, protocol):
    port = server.udp_port if protocol else server.tcp_port
    assert probe(where.format(port) + protocol) == (0, "")


def test_the_value_may_follow_as_a_word(server):
    done = run("--probe", f"[::1]:{server.tcp_port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("role, proto, result", [
    ("raw", "tcp", (0, "")),
    ("raw", "udp", (0, "")),
    ("discard", "tcp", (1, "no echo within a second")),
    ("discard", "udp", (1, "no echo within a second")),
    ("echo+proxy", "tcp", (1, "closed without an echo")),
])
def test_each_role_is_told(start, role, proto, result):
    server = start(f"--listen={role}:0/{proto}", listening=3)
    port = int(server.find(msg="listening")[2]["addr"].rpartition(":")[2])
    assert probe(f"127.0.0.1:{port}" + ("/udp" if proto == "udp" else "")) == result


def test_a_server_that_is_busy_has_a_status_of_its_own(start, dial, host):
    server = start("--max-tcp=1")
    assert dial(server).ask(b"here\n") == b"here\n"
    assert probe(shown(host, server.tcp_port)) == (BUSY, "the server is busy")
    assert probe(shown(host, server.udp_port) + "/udp") == (0, "")


def test_what_the_server_has_against_it_is_shown(start):
    server = start("--max-line=8")
    assert probe(f"127.0.0.1:{server.tcp_port}") == (
        1, "answered by something else than an echo: 'ERR too-long-line'")  # fmt: skip


# Nobody there


@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_nobody_listens(namespace, host, protocol):
    assert probe(shown(host, 1) + protocol) == (1, "Connection refused")


@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_no_way_leads_there(namespace, protocol):
    assert probe("192.0.2.1:7" + protocol) == (1, "Network is unreachable")


@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_an_interface_that_is_not_there(protocol):
    assert probe("[fe80::1%nowhere]:7" + protocol) == (1, "No such device")


def reachable(address):
    """The kernel makes the route to an address that has just been set when it comes to it."""
    shown = subprocess.run(["ip", "-6", "route", "show", "table", "local"], check=True, capture_output=True, text=True)
    return f"local {address} " in shown.stdout


@pytest.mark.parametrize("interface", ["lo", "1"])
def test_a_link_local_address_is_reached_by_its_interface(start, namespace, interface):
    subprocess.run(["ip", "addr", "replace", "fe80::77/64", "dev", "lo", "nodad"], check=True)
    wait_until(lambda: reachable("fe80::77"), "the route to the address")
    server = start()
    assert probe(f"[fe80::77%{interface}]:{server.tcp_port}") == (0, "")
    assert probe(f"[fe80::77%{interface}]:{server.udp_port}/udp") == (0, "")


@pytest.fixture
def one_port(namespace):
    """The only one that the kernel may choose."""
    before = PORT_RANGE.read_text()
    PORT_RANGE.write_text("40001 40001")
    yield 40001
    PORT_RANGE.write_text(before)


@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_a_socket_that_is_connected_to_itself_is_no_server(one_port, host, protocol):
    assert probe(shown(host, one_port) + protocol) == (1, "Connection refused")


def test_a_server_elsewhere_may_have_the_port_of_the_probe(one_port, start):
    """By UDP it may not: a server answers none of its own ports."""
    with network.Namespace() as neighbour:
        network.ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(neighbour.holder.pid))
        for number, device, ip in ((1, "here", network.ip), (2, "there", lambda *words: neighbour.run("ip", *words))):
            ip("addr", "add", f"10.77.3.{number}/24", "dev", device)
            ip("link", "set", device, "up")
        start(port=one_port, wrapper=neighbour.enter())
        assert probe(f"10.77.3.2:{one_port}") == (0, "")
        network.ip("link", "del", "here")


# Servers that do what they should not


@contextlib.contextmanager
def listener(host="127.0.0.1", kind=socket.SOCK_STREAM):
    with new_socket(host, kind) as listening:
        listening.settimeout(PATIENCE)
        listening.bind((host, 0))
        if kind == socket.SOCK_STREAM:
            listening.listen()
        yield listening


def probed(talk, kind=socket.SOCK_STREAM):
    """What a probe says of a server that does TALK with its socket and the message that it has got."""
    with listener(kind=kind) as listening:
        serve = serve_stream if kind == socket.SOCK_STREAM else serve_datagram
        thread = threading.Thread(target=serve, args=(listening, talk))
        thread.start()
        where = shown(*listening.getsockname()) + ("" if kind == socket.SOCK_STREAM else "/udp")
        result = probe(where)
        thread.join(PATIENCE)
        assert not thread.is_alive()
        return result


def serve_stream(listening, talk):
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as stream:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = stream.readline()
        assert MESSAGE.fullmatch(message)
        talk(connection, message)
        with contextlib.suppress(OSError):  # until the probe has ended, if the connection is not closed
            stream.read()


def serve_datagram(listening, talk):
    message, source = listening.recvfrom(65536)
    assert MESSAGE.fullmatch(message)
    talk(lambda data: listening.sendto(data, source), message)


def unread(connection):
    """Bytes that the other end's process has not read yet."""
    ours, theirs = (f":{end[1]:04X}" for end in (connection.getsockname(), connection.getpeername()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        if local.endswith(theirs) and remote.endswith(ours):
            return int(queues.rpartition(":")[2], 16)
    return 0


def in_pieces(data=None):
    """Each is read before the next is sent."""

    def talk(connection, message):
        whole = data or message
        for piece in (whole[:1], whole[1:2], whole[2:-2], whole[-2:-1], whole[-1:]):
            connection.sendall(piece)
            wait_until(lambda: unread(connection) == 0, "a piece to be read")

    return talk


def sends(data):
    return lambda connection, message: connection.sendall(data)


def without_errors(talk):
    """The probe may have ended before all was sent."""

    def suppressing(connection, message):
        with contextlib.suppress(OSError):
            talk(connection, message)

    return suppressing


def half_and(end):
    def talk(connection, message):
        connection.sendall(message[:5])
        end(connection)

    return talk


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    os.close(connection.detach())


def finish(connection):
    connection.shutdown(socket.SHUT_WR)


def busy_and_reset(connection, _):
    connection.sendall(b"Server Busy\n")
    reset(connection)


NO_ECHO = "answered by something else than an echo: "
STREAMS = {
    "an echo in pieces": (in_pieces(), (0, "")),
    "busy in pieces": (in_pieces(b"Server Busy\n"), (BUSY, "the server is busy")),
    "busy and a reset": (busy_and_reset, (BUSY, "the server is busy")),
    "silence": (lambda *_: None, (1, "no echo within a second")),
    "the end": (lambda connection, _: finish(connection), (1, "closed without an echo")),
    "a reset": (lambda connection, _: reset(connection), (1, "Connection reset by peer")),
    "half and silence": (half_and(lambda _: None), (1, "no echo within a second: 'probe'")),
    "half and the end": (half_and(finish), (1, "closed without an echo: 'probe'")),
    "half and a reset": (half_and(reset), (1, "Connection reset by peer: 'probe'")),
    "busy without its end": (sends(b"Server Busy"), (1, "no echo within a second: 'Server Busy'")),
    "another line": (sends(b"probe 0123456789abcdef\n"), (1, NO_ECHO + "'probe 0123456789abcdef'")),
    "an empty line": (sends(b"\n"), (1, NO_ECHO + "''")),
    "keys of a terminal": (sends(b"\33]0; ~\x9b\x7f\x1f\0\r\n"), (1, NO_ECHO + "'?]0; ~?????'")),
    "no line": (sends(b"x" * 256), (1, NO_ECHO + f"'{'x' * 64}'")),
    "no line, in pieces": (without_errors(in_pieces(b"x" * 300)), (1, NO_ECHO + f"'{'x' * 64}'")),
    "a flood": (without_errors(sends(b"x" * 100_000 + b"\n")), (1, NO_ECHO + f"'{'x' * 64}'")),
}


@pytest.mark.parametrize("case", STREAMS)
def test_what_a_stream_brings_is_told(case):
    talk, result = STREAMS[case]
    assert probed(talk) == result


@pytest.mark.parametrize("change", [
    lambda message: message + b"\n", lambda message: message * 2, lambda message: b"\0" + message,
    lambda message: message.upper(), lambda message: message.replace(b"\n", b"\r\n"),
], ids=["longer", "twice", "shifted", "capitals", "CR"])  # fmt: skip
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_an_echo_is_the_message_and_no_more(kind, change):
    def talk(connection, message):
        (connection.sendall if kind == socket.SOCK_STREAM else connection)(change(message))

    status, said = probed(talk, kind)
    assert status == 1 and said.startswith(NO_ECHO)


DATAGRAMS = {
    "an echo": (lambda send, message: send(message), (0, "")),
    "silence": (lambda *_: None, (1, "no echo within a second")),
    "half": (lambda send, message: send(message[:5]), (1, NO_ECHO + "'probe'")),
    "nothing": (lambda send, message: send(b""), (1, NO_ECHO.removesuffix(": "))),
    "much": (lambda send, message: send(b"x" * 60_000), (1, NO_ECHO + f"'{'x' * 64}'")),
}  # fmt: skip


@pytest.mark.parametrize("case", DATAGRAMS)
def test_what_a_datagram_brings_is_told(case):
    talk, result = DATAGRAMS[case]
    assert probed(talk, socket.SOCK_DGRAM) == result


def test_an_echo_from_another_port_is_none(host):
    with listener(host, socket.SOCK_DGRAM) as listening, new_socket(host, socket.SOCK_DGRAM) as other:
        thread = threading.Thread(target=lambda: other.sendto(*listening.recvfrom(65536)))
        thread.start()
        assert probe(shown(*listening.getsockname()[:2]) + "/udp") == (1, "no echo within a second")
        thread.join(PATIENCE)


def test_no_message_is_like_another():
    messages = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) * 2:
        probed(lambda _, message: messages.append(message), kind)
    assert len(set(messages)) == 4


@pytest.mark.parametrize("said, result", [
    (b"", (1, "closed without an echo")),
    (b"Server Busy\n", (BUSY, "the server is busy")),
    (b"220 mail.example.org\r\n", (1, NO_ECHO + "'220 mail.example.org?'")),
])
def test_who_speaks_first_is_heard(said, result):
    with listener() as listening:
        def talk():
            connection, _ = listening.accept()
            connection.sendall(said)
            finish(connection)
            with connection, contextlib.suppress(ConnectionError):
                connection.recv(100)

        thread = threading.Thread(target=talk)
        thread.start()
        assert probe(shown(*listening.getsockname())) == result
        thread.join(PATIENCE)


def test_a_server_that_takes_nobody_in_makes_no_connection():
    """Its queue is full: what asks for a connection is dropped."""
    with listener() as listening, new_socket("127.0.0.1", socket.SOCK_STREAM) as waiting:
        listening.listen(0)
        waiting.connect(listening.getsockname())
        assert probe(shown(*listening.getsockname())) == (1, "no connection within a second")


# The program itself


@pytest.mark.parametrize("words, message", [
    (["--probe=example.org:7"], "--probe: 'example.org:7' names no host: "
                                "127.0.0.1:7, [::1]:7 or localhost:7; other names are not looked up"),
    (["--probe=[::1]:7", "-v"], "--probe is given alone: it starts no server, and asks one in one way"),
])
def test_wrong_usage_has_a_status_of_its_own(words, message):
    done = run(*words)
    assert done.returncode == WRONG_USAGE and done.stdout == b""
    assert done.stderr.decode().splitlines()[0] == f"epoll-echo: {message}"


@pytest.mark.plain
@pytest.mark.parametrize("protocol", ["", "/udp"], ids=["tcp", "udp"])
def test_it_waits_in_epoll_wait_alone(server, strace, protocol):
    port = server.udp_port if protocol else server.tcp_port
    done = subprocess.run([*strace(), BINARY, f"--probe=127.0.0.1:{port}{protocol}"], timeout=PATIENCE)
    assert done.returncode == 0
    trace = "\n".join(strace.trace())
    assert re.search(r"socket\(AF_INET, SOCK_(STREAM|DGRAM)\|SOCK_CLOEXEC\|SOCK_NONBLOCK", trace)
    assert re.search(r"getrandom\(.*GRND_NONBLOCK\)", trace)
    assert not re.search(r"\b(poll|ppoll|select|pselect6|nanosleep|clock_nanosleep|fcntl\(\d+, F_SETFL)\b", trace)


@pytest.mark.plain
@pytest.mark.parametrize("call", [
    "getrandom", "epoll_create1", "timerfd_create", "socket", "connect", "epoll_ctl", "timerfd_settime", "epoll_wait",
    "sendto", "recvfrom", "epoll_ctl:when=2", "epoll_ctl:when=3",
])  # fmt: skip
def test_a_call_that_fails_is_told(server, strace, call):
    name, _, when = call.partition(":")
    wrapper = strace(f"--inject={name}:error=ENOMEM" + (":" + when if when else ""))
    where = f"127.0.0.1:{server.tcp_port}"
    done = subprocess.run([*wrapper, BINARY, f"--probe={where}"], capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"epoll-echo: {where}: Cannot allocate memory\n"


@pytest.fixture(scope="session")
def empty_root(tmp_path_factory):
    """A directory with nothing in it but the static program."""
    if os.geteuid() != 0:
        pytest.skip("needs root: chroot(2)")
    subprocess.run(["make", "-s", STATIC.relative_to(ROOT)], cwd=ROOT, check=True, timeout=PATIENCE * 10)
    root = tmp_path_factory.mktemp("root")
    shutil.copy(STATIC, root)
    return root


@pytest.mark.plain
@pytest.mark.parametrize("where", ["127.0.0.1:{}", "[::1]:{}", "localhost:{}", "127.0.0.1:{}/udp", "[::1]:{}/udp"])
def test_it_runs_where_there_is_nothing_else(server, empty_root, where):
    port = server.udp_port if "udp" in where else server.tcp_port

    def enter():
        os.chroot(empty_root)
        os.chdir("/")

    for asked, status in ((where.format(port), 0), (re.sub(r"\{}", "1", where), 1)):
        done = subprocess.run(["/epoll-echo", f"--probe={asked}"], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE, preexec_fn=enter, env={})
        assert (done.returncode, done.stdout) == (status, b"")
        assert done.stderr.decode() == ("" if status == 0 else f"epoll-echo: {asked}: Connection refused\n")
