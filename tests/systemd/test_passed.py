# SPDX-License-Identifier: MIT
"""Sockets that are passed: sd_listen_fds(3), without systemd and by systemd-socket-activate."""
import itertools
import os
import shutil
import signal
import socket
import subprocess

import pytest

from guest import PATIENCE, wait_until
from process import Client, bound, listener, port_of, serves

KINDS = {
    "tcp6": lambda: listener("::1"),
    "tcp4": lambda: listener("127.0.0.1"),
    "tcp-dual": lambda: listener("::", dual=True),
    "udp6": lambda: bound("::1"),
    "udp4": lambda: bound("127.0.0.1"),
    "udp-dual": lambda: bound("::", dual=True),
}


def serves_socket(s):
    protocol = "tcp" if s.type == socket.SOCK_STREAM else "udp"
    address = s.getsockname()[0]
    for asked in ("::1", "127.0.0.1") if address == "::" else (address,):
        serves(address=asked, **{protocol: port_of(s)})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("dual", [True, False])
def test_datagrams_that_came_before(start, address, dual):
    """They have waited since before the daemon asked the kernel where they were sent to."""
    if dual:
        s = bound("::", dual=True)
    else:
        s = bound("0.0.0.0" if "." in address else "::")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.bind((address, 0))
        if "." in address:
            client.sendto(b"to all: never answered", ("127.255.255.255", port_of(s)))
        client.sendto(b"first", (address, port_of(s)))
        start(sockets=[s])
        assert client.recv(100) == b"first"
        client.sendto(b"/stats", (address, port_of(s)))
        dropped = b"udp_dropped=1" if "." in address else b"udp_dropped=0"
        assert dropped in client.recv(1000)


@pytest.mark.parametrize("blocking", [True, False])
def test_any_number_in_any_order(start, blocking):
    sockets = [make() for make in KINDS.values()]
    for order in (sockets, sockets[::-1], sockets[1::2] + sockets[::2]):
        for s in order:
            s.setblocking(blocking)
        process = start(sockets=order)
        for s in order:
            serves_socket(s)
        for s in order:
            assert str(port_of(s)) in process.await_log(rf"msg=listening .*:{port_of(s)}\n")[0]
        assert process.stop() == 0
        assert process.log.count("msg=listening") == len(order)


@pytest.mark.parametrize("kind", KINDS)
def test_one_alone(start, kind):
    s = KINDS[kind]()
    process = start(sockets=[s])
    serves_socket(s)
    assert process.stop() == 0
    assert process.log.count("msg=listening") == 1  # and none of its own


@pytest.mark.parametrize("names", ["a:b", "", "only-one", "a:b:c:d", "tcp:tcp", "::"])
def test_names_do_not_matter(start, names):
    tcp, udp = listener(), bound()
    start(sockets=[udp, tcp], LISTEN_FDNAMES=names)
    serves(tcp=port_of(tcp), udp=port_of(udp))


def connected():
    with listener() as server:
        return socket.create_connection(server.getsockname()[:2])


def unix(kind):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind("")  # an abstract address of the kernel's choice
    if kind != socket.SOCK_DGRAM:
        s.listen()
    return s


def not_listening():
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    s.bind(("::1", 0))
    return s


UNKNOWN = {
    "unix-stream": lambda: unix(socket.SOCK_STREAM),
    "unix-datagram": lambda: unix(socket.SOCK_DGRAM),
    "unix-seqpacket": lambda: unix(socket.SOCK_SEQPACKET),
    "connection": connected,
    "not-listening": not_listening,
    "unbound": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM),
    "pipe": lambda: open(os.pipe()[0], "rb"),
    "file": lambda: open(__file__, "rb"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_unknown_is_refused_and_closed(start, kind):
    tcp, udp = listener(), bound()
    try:
        unknown = UNKNOWN[kind]()
    except PermissionError:
        pytest.skip("not allowed to make one")
    process = start(sockets=[tcp, unknown, udp], LISTEN_FDNAMES="one:two:three")
    refused = process.await_log(r"msg=\"passed socket refused\" .*\n")[0]
    assert "fd=4" in refused and "name=two" in refused and "reason=" in refused
    serves(tcp=port_of(tcp), udp=port_of(udp))
    inodes = process.inodes()
    assert os.fstat(unknown.fileno()).st_ino not in inodes
    assert {os.fstat(s.fileno()).st_ino for s in (tcp, udp)} < inodes
    unknown.close()


# Calls that the daemon makes for a passed socket alone, by what tells them from all others.
@pytest.mark.parametrize("call", ["F_GETFL", "F_SETFL", "F_SETFD", "SO_DOMAIN"])
def test_one_that_cannot_be_set_up_is_fatal(start, tmp_path, call):
    """Nobody would be served by it, and nobody would be told."""
    tcp, trace = listener(), tmp_path / "trace"
    kind = "getsockopt" if call.startswith("SO_") else "fcntl"

    def run(*fault):
        return start(sockets=[tcp], wrapper=["strace", "-D", "-o", trace, "-e", f"trace={kind}", *fault])

    run().await_log("msg=listening")
    calls = [line for line in trace.read_text().splitlines() if line.startswith(f"{kind}(")]
    number = max(n for n, line in enumerate(calls, 1) if call in line)
    process = run("-e", f"inject={kind}:error=ENOMEM:when={number}")
    assert process.wait() == 1
    assert 'error="Cannot allocate memory"' in process.log
    assert "msg=listening" not in process.log


@pytest.mark.parametrize("names", [{}, {"LISTEN_FDNAMES": "::"}, {"LISTEN_FDNAMES": "one"}])
def test_unknown_without_a_name_is_refused_by_its_number(start, names):
    process = start(sockets=[listener(), unix(socket.SOCK_STREAM)], **names)
    refused = process.await_log(r"msg=\"passed socket refused\" .*\n")[0]
    assert "fd=4" in refused and "name=" not in refused


def test_none_of_use(start):
    process = start(sockets=[unix(socket.SOCK_STREAM)])
    assert process.wait() == 1
    assert "none of them is of use" in process.log
    assert "msg=listening" not in process.log


@pytest.mark.parametrize(
    "option", ["--port=0", "-p12345", "--tcp-port=1", "--udp-port=1", "--bind=::1", "--backlog=4096"]
)
def test_options_that_contradict(start, option):
    """Also where the value is the default."""
    process = start(option, sockets=[listener()])
    assert process.wait() == 1
    assert "passed sockets" in process.log
    assert "--port, --tcp-port, --udp-port, --bind, --listen and --backlog" in process.log


def test_other_options_hold(start):
    tcp = listener()
    start("--max-line=4", sockets=[tcp])
    with Client(port_of(tcp)) as client:
        assert client.ask(b"12345") == b"ERR too-long-line"


def test_meant_for_another_process(start):
    tcp = listener()
    process = start("--port=0", sockets=[tcp], LISTEN_PID="1")
    ports = process.ports()
    assert port_of(tcp) not in ports
    serves(*ports)


@pytest.mark.parametrize("count", [{"LISTEN_FDS": "0"}, {}])
def test_nothing_passed(start, count):
    serves(*start("--port=0", LISTEN_PID="$$", **count).ports())


@pytest.mark.parametrize("count", ["3", "7", "-1", "", "two", "2 ", "2147483647", "9" * 40])
def test_environment_that_cannot_be(start, count):
    """Nor is a descriptor taken for passed that the daemon has opened itself."""
    process = start(sockets=[listener(), bound()], LISTEN_FDS=count)
    assert process.wait() == 1
    assert "LISTEN_FDS" in process.log


def test_variables_are_unset(start, tmp_path):
    """Seen by a library that looks once the program has ended."""
    source, library = tmp_path / "spy.c", tmp_path / "spy.so"
    source.write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        "__attribute__((destructor)) static void spy(void)\n"
        '{ fprintf(stderr, "spied %s%s%s.\\n", getenv("LISTEN_PID") ? "PID" : "",'
        ' getenv("LISTEN_FDS") ? "FDS" : "", getenv("LISTEN_FDNAMES") ? "NAMES" : ""); }\n'
    )
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    for pid in ("$$", "1"):
        process = start(
            sockets=[listener()],
            LISTEN_PID=pid,
            LISTEN_FDNAMES="x",
            LD_PRELOAD=str(library),
            ASAN_OPTIONS="verify_asan_link_order=0",
        )
        process.await_log("msg=listening role=echo proto=tcp")
        process.stop()
        assert "\nspied .\n" in process.log


def test_queue_is_left_to_the_next_process(start):
    """From SIGTERM on nobody is accepted, and nobody is reset; the connections end cleanly."""
    tcp, udp = listener(), bound()
    first = start(sockets=[tcp, udp])
    with Client(port_of(tcp)) as established, Client(port_of(tcp)) as waiting:
        assert established.ask(b"before") == b"before"
        assert waiting.ask(b"both are accepted") == b"both are accepted"
        first.signal(signal.SIGTERM)
        assert established.rest() == b""
        # `waiting` keeps the first process alive: it would accept if it still did.
        with Client(port_of(tcp)) as late:
            late.send(b"late\n")
            sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sender.settimeout(PATIENCE)
            sender.sendto(b"late", udp.getsockname())
            assert waiting.rest() == b""
            waiting.socket.close()
            established.socket.close()
            assert first.wait() == 0
            start(sockets=[udp, tcp])
            assert late.line() == b"late\n"
            assert sender.recv(100) == b"late"
            sender.close()


def test_restarts_share_the_sockets(start):
    tcp, udp = listener(), bound()
    for _ in range(5):
        process = start(sockets=[tcp, udp])
        serves(tcp=port_of(tcp), udp=port_of(udp))
        assert process.stop() == 0


activate = pytest.mark.skipif(
    not shutil.which("systemd-socket-activate"), reason="there is no systemd-socket-activate"
)


class Activator:
    """systemd-socket-activate, before and after it becomes the daemon."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.process.kill()
        self.process.wait()

    def await_sockets(self, *ports):
        """Its sockets are seen in the network namespace once they are bound."""

        def bound_ports():
            rows = itertools.chain(*(open(f"/proc/self/net/{t}").readlines()[1:] for t in ("tcp6", "udp6")))
            return {int(row.split()[1].rpartition(":")[2], 16) for row in rows}

        wait_until(lambda: set(ports) <= bound_ports(), f"sockets on {ports}")


@activate
def test_socket_activate_tcp(binary):
    with Activator("systemd-socket-activate", "-l", "[::1]:2001", "--fdname=x", binary) as activator:
        activator.await_sockets(2001)
        serves(tcp=2001)


@activate
def test_socket_activate_udp(binary):
    with Activator("systemd-socket-activate", "-d", "-l", "[::1]:2002", binary) as activator:
        activator.await_sockets(2002)
        serves(udp=2002)


@activate
def test_socket_activate_both(binary):
    first = ["systemd-socket-activate", "-l", "[::1]:2003"]
    second = ["systemd-socket-activate", "-d", "-l", "[::1]:2004", binary]
    with Activator(*first, *second) as activator:
        activator.await_sockets(2003)
        with Client(2003) as client:  # makes the first become the second
            activator.await_sockets(2004)
            serves(udp=2004)  # and that makes the second become the daemon
            assert client.ask(b"line") == b"line"
