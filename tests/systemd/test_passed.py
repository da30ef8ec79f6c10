# SPDX-License-Identifier: MIT
"""Sockets that are passed: sd_listen_fds(3), without systemd and by systemd-socket-activate."""
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess

import pytest

from harness.clients import Client, Peer, new_socket, serves
from harness.daemon import OWN_PID
from harness.lines import TOO_LONG
from harness.wait import PATIENCE, wait_until
from manager import bound, inodes, listener, port_of

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
        serves(host=asked, **{protocol: port_of(s)})


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("dual", [True, False])
def test_datagrams_that_came_before(start, address, dual):
    """They have waited since before the daemon asked the kernel where they were sent to."""
    s = bound("::" if dual or ":" in address else "0.0.0.0", dual=dual)
    with new_socket(address, socket.SOCK_DGRAM) as client:
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
        server = start(sockets=order)
        for s in order:
            serves_socket(s)
        server.stop()
        ports = [int(addr.rpartition(":")[2]) for _, addr in server.listening()]
        assert sorted(ports) == sorted(port_of(s) for s in order)


@pytest.mark.parametrize("kind", KINDS)
def test_one_alone(start, kind):
    s = KINDS[kind]()
    server = start(sockets=[s])
    serves_socket(s)
    server.stop()
    assert len(server.listening()) == 1  # and none of its own


@pytest.mark.parametrize("names", ["a:b", "", "only-one", "a:b:c:d", "tcp:tcp", "::"])
def test_any_other_name_is_echo(start, names):
    tcp, udp = listener(), bound()
    start(sockets=[udp, tcp], LISTEN_FDNAMES=names)
    serves(tcp=port_of(tcp), udp=port_of(udp))


def test_a_name_is_a_role(start):
    raw, raw_udp, discard, proxied = listener(), bound(), listener(), listener()
    server = start(sockets=[raw, raw_udp, discard, proxied], LISTEN_FDNAMES="raw:raw:discard:echo+proxy")
    server.await_record(msg="listening", role="echo+proxy", proto="tcp")
    with Client("127.0.0.1", port_of(raw)) as client:
        assert client.ask_all(b"/stats\nno end") == b"/stats\nno end"
    with Peer("127.0.0.1", port_of(raw_udp)) as peer:
        assert peer.ask(b"ERR /stats") == b"ERR /stats"
    with Client("127.0.0.1", port_of(discard)) as client:
        assert client.ask_all(b"/stats\n") == b""
    with Client("127.0.0.1", port_of(proxied)) as client:
        assert b" via=127.0.0.1:" in client.ask(b"PROXY UNKNOWN\r\n/whoami\n")


def test_a_role_that_is_not_for_datagrams_is_refused(start):
    tcp, udp = listener(), bound()
    server = start(sockets=[tcp, udp], LISTEN_FDNAMES="echo+proxy:echo+proxy")
    record = server.await_record(level="warning", msg="passed socket refused", fd="4", name="echo+proxy")
    assert "not for UDP" in record["reason"]
    server.await_record(msg="listening", role="echo+proxy", proto="tcp")
    assert os.fstat(udp.fileno()).st_ino not in inodes(server)


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
    "multicast": lambda: bound("224.0.0.1"),
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
    server = start(sockets=[tcp, unknown, udp], LISTEN_FDNAMES="one:two:three")
    assert "reason" in server.await_record(msg="passed socket refused", fd="4", name="two")
    serves(tcp=port_of(tcp), udp=port_of(udp))
    assert os.fstat(unknown.fileno()).st_ino not in inodes(server)
    assert {os.fstat(s.fileno()).st_ino for s in (tcp, udp)} < inodes(server)
    unknown.close()


@pytest.mark.parametrize("lacking", [False, True])
def test_multipath(start, strace, lacking):
    """SocketProtocol=mptcp; older kernels know none of the options for keepalive there."""
    try:
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    except OSError:
        pytest.skip("no MPTCP")
    s.bind(("127.0.0.1", 0))
    s.listen()
    injected = ["--trace=setsockopt", "--inject=setsockopt:error=EOPNOTSUPP:when=3+"] if lacking else []
    server = start(sockets=[s], wrapper=strace(*injected) if lacking else ())
    serves_socket(s)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        client.settimeout(PATIENCE)
        client.connect(s.getsockname())
        client.sendall(b"multipath\n/whoami\n")
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert answer.startswith(b"multipath\nproto=tcp peer=127.0.0.1:")
    server.stop()


# Calls that the daemon makes for a passed socket alone, by what tells them from all others.
@pytest.mark.parametrize("call", ["F_GETFL", "F_SETFL", "F_SETFD", "SO_DOMAIN"])
def test_one_that_cannot_be_set_up_is_fatal(start, strace, call):
    """Nobody would be served by it, and nobody would be told."""
    tcp = listener()
    kind = "getsockopt" if call.startswith("SO_") else "fcntl"
    start(sockets=[tcp], wrapper=strace(f"--trace={kind}")).await_record(msg="listening")
    calls = [line for line in strace.trace() if line.startswith(f"{kind}(")]
    number = max(n for n, line in enumerate(calls, 1) if call in line)
    server = start(sockets=[tcp], wrapper=strace(f"--inject={kind}:error=ENOMEM:when={number}"))
    assert server.wait() == 1
    assert server.find(error="Cannot allocate memory") and not server.listening()


def test_none_of_use(start):
    server = start(sockets=[unix(socket.SOCK_STREAM)])
    assert server.wait() == 1
    assert "none of them is of use" in server.log_text() and not server.listening()


@pytest.mark.parametrize(
    "option", ["--port=0", "-p12345", "--tcp-port=1", "--udp-port=1", "--bind=::1", "--backlog=4096"])
def test_options_that_contradict(start, option):
    """Also where the value is the default."""
    server = start(option, sockets=[listener()])
    assert server.wait() == 1
    assert "passed sockets" in server.log_text()
    assert "--port, --tcp-port, --udp-port, --bind, --listen and --backlog" in server.log_text()


def test_other_options_hold(start):
    tcp = listener()
    start("--max-line=4", sockets=[tcp])
    with Client("127.0.0.1", port_of(tcp)) as client:
        assert client.ask(b"12345\n") == TOO_LONG


@pytest.mark.parametrize("pid", ["1", "one"])
def test_meant_for_another_process(start, pid):
    tcp = listener()
    server = start("--port=0", sockets=[tcp], LISTEN_PID=pid)
    assert port_of(tcp) not in (server.tcp_port, server.udp_port)
    serves(server.tcp_port, server.udp_port)


@pytest.mark.parametrize("count", [{"LISTEN_FDS": "0"}, {}])
def test_nothing_passed(start, count):
    server = start(LISTEN_PID=OWN_PID, **count)
    serves(server.tcp_port, server.udp_port)


@pytest.mark.parametrize("count", ["3", "7", "-1", "", "two", "2 ", "2147483647", "9" * 40])
def test_environment_that_cannot_be(start, count):
    """Nor is a descriptor taken for passed that the daemon has opened itself."""
    server = start(sockets=[listener(), bound()], LISTEN_FDS=count)
    assert server.wait() == 1
    assert "LISTEN_FDS" in server.log_text()


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
    for pid in (OWN_PID, "1"):
        server = start(sockets=[listener()], LISTEN_PID=pid, LISTEN_FDNAMES="x", LD_PRELOAD=str(library),
                       ASAN_OPTIONS="verify_asan_link_order=0")
        server.await_record(msg="listening", proto="tcp")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0 and server.malformed == [b"spied .\n"]


def test_queue_is_left_to_the_next_process(start):
    """From SIGTERM on nobody is accepted, and nobody is reset; the connections end cleanly."""
    tcp, udp = listener(), bound()
    first = start(sockets=[tcp, udp])
    with contextlib.ExitStack() as stack:
        established, waiting = (stack.enter_context(Client("127.0.0.1", port_of(tcp))) for _ in range(2))
        assert established.ask(b"before\n") == b"before\n"
        assert waiting.ask(b"both are accepted\n") == b"both are accepted\n"
        first.signal(signal.SIGTERM)
        assert established.rest() == b""
        # `waiting` keeps the first process alive: it would accept if it still did.
        late = stack.enter_context(Client("127.0.0.1", port_of(tcp)))
        late.send(b"late\n")
        sender = stack.enter_context(Peer("127.0.0.1", port_of(udp)))
        sender.send(b"late")
        assert waiting.rest() == b""
        first.ended()
        start(sockets=[udp, tcp])
        assert late.line() == b"late\n"
        assert sender.receive() == b"late"


def await_socket(port):
    """It is seen in the network namespace once it is bound."""

    def bound_ports():
        rows = itertools.chain(*(open(f"/proc/self/net/{t}").readlines()[1:] for t in ("tcp6", "udp6")))
        return {int(row.split()[1].rpartition(":")[2], 16) for row in rows}

    wait_until(lambda: port in bound_ports(), f"a socket on {port}")


@pytest.fixture
def activate(binary):
    """activate(*words) runs systemd-socket-activate, which becomes what it is to start: in the end, the daemon."""
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("there is no systemd-socket-activate")
    with contextlib.ExitStack() as stack:

        def activate(*words):
            command = ["systemd-socket-activate", *words, binary]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            stack.callback(process.kill)

        yield activate


def test_socket_activate_both(activate):
    activate("-l", "[::1]:2003", "systemd-socket-activate", "-d", "-l", "[::1]:2004")
    await_socket(2003)
    with Client("::1", 2003) as client:  # makes the first become the second
        await_socket(2004)
        serves(udp=2004, host="::1")  # and that makes the second become the daemon
        assert client.ask(b"line\n") == b"line\n"
