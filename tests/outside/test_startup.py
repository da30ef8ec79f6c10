"""Starting, and refusing to."""

import contextlib
import ctypes
import errno
import os
import platform
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import network
from harness.clients import serves
from harness.daemon import BINARY, run, unused_ports
from harness.lines import GOODBYE
from harness.wait import PATIENCE

NOBODY = 65534
AS_NOBODY = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
SYSTEM_CALL = {"x86_64": 41, "aarch64": 198}  # socket(2)


needs_nobody = pytest.mark.skipif(
    int(Path("/proc/self/uid_map").read_text().split()[2]) <= NOBODY or os.geteuid() != 0,
    reason="needs root that can become another user",
)


def refuses(*options, **details):
    """The message of a start that must fail."""
    done = run(*options, **details)
    assert done.returncode == 1, done
    assert done.stdout == b""
    assert b"level=error" in done.stderr
    return done.stderr.decode()


# Standard descriptors


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", ">&-"])
def test_what_is_closed_is_not_taken_for_a_socket(start, closed):
    """The first that is opened has the lowest number, and what is printed would go to a client."""
    server = start(wrapper=["sh", "-c", f'exec "$0" "$@" {closed}'])
    for number in (0, 1):
        kind = os.readlink(f"/proc/{server.pid}/fd/{number}")
        assert not kind.startswith(("socket:", "anon_inode:")), kind


def test_without_anything_to_open_in_their_place_it_does_not_start(namespace):
    script = 'mount -t tmpfs none /dev && exec "$0" --port=0 <&-'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, BINARY], capture_output=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"epoll-echo: /dev/null: No such file or directory\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_cannot_be_printed_is_an_error(option):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, option], stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert done.returncode == 1
    assert b"standard output: No space left on device" in done.stderr


# Ports and addresses


@pytest.mark.parametrize("address", ["", "127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_in_use_is_named(address, kind):
    family = socket.AF_INET if address == "127.0.0.1" else socket.AF_INET6
    with socket.socket(family, kind) as taken:
        taken.bind((address or "::", next(unused_ports)))  # the kernel's choice may have the other protocol
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        bind = [f"--bind={address}"] if address else []
        message = refuses(f"--port={port}", *bind)
    assert f":{port} " in message
    assert ("ss -ltnp" if kind == socket.SOCK_STREAM else "ss -lunp") in message


@needs_nobody
def test_a_port_that_is_not_allowed_is_named(namespace):
    message = refuses("--port=80", **AS_NOBODY)
    assert "[::]:80 " in message and "CAP_NET_BIND_SERVICE" in message


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8::1"])
def test_an_address_that_is_not_ours_is_named(address):
    message = refuses("--port=0", f"--bind={address}")
    assert address in message and "ip address" in message


@pytest.mark.parametrize("name", ["none", "4294967299", "1x", " 1", "+1", "-1", "0", "2000000000"])
@pytest.mark.parametrize("address", ["fe80::1", "::1"])
def test_an_interface_that_there_is_not_is_named(address, name):
    """The loopback's number is 1, and 4294967297 is that in 32 bits."""
    message = refuses("--port=0", f"--bind={address}%{name}")
    assert f'interface="{name}"' in message or f"interface={name} " in message
    assert "ip link" in message


@pytest.mark.parametrize("name", ["lo", "1"])
def test_an_interface_may_be_a_number(start, namespace, name):
    network.ip("addr", "replace", "fe80::7/64", "dev", "lo", "nodad")
    server = start(f"--bind=fe80::7%{name}")
    assert ("tcp", f"[fe80::7%1]:{server.tcp_port}") in server.listening()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize("taken", [[0, 1], [0], [1]], ids=["all but one", "even", "odd"])
def test_port_0_finds_a_port_as_long_as_there_are_some(start, namespace, kind, taken):
    """The kernel itself gives TCP odd ones as long as it can."""
    settings = Path("/proc/sys/net/ipv4/ip_local_port_range")
    before = settings.read_text()
    settings.write_text("21000 21019")
    try:
        with contextlib.ExitStack() as stack:
            for port in (port for port in range(21000, 21020) if port % 2 in taken and port != 21010):
                other = stack.enter_context(socket.socket(socket.AF_INET6, kind))
                other.bind(("::", port))
                if kind == socket.SOCK_STREAM:
                    other.listen()
            for _ in range(5):
                server = start()
                assert server.tcp_port == server.udp_port
                server.stop()
    finally:
        settings.write_text(before)


def test_a_port_can_be_taken_again_at_once(start, dial, namespace):
    """Connections that the first server closed must not block the second."""
    port = f"--port={next(unused_ports)}"
    first = start(port, port=None)
    client = dial(first)
    assert client.ask(b"here\n") == b"here\n"
    first.stop()
    assert client.rest() == b""
    assert serves(start(port, port=None).tcp_port)


# Token files


def write(path, content=b"token\n", mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)


# tests/unit/credential.c has the other faults.
@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.symlink_to("/dev/zero")],
                         ids=["absent", "a device"])
def test_a_bad_token_file_is_named(tmp_path, make):
    path = tmp_path / "the-token"
    make(path)
    assert str(path) in refuses("--port=0", f"--shutdown-token-file={path}")


@pytest.mark.parametrize("mode", [0o640, 0o440, 0o604, 0o644])
def test_a_token_file_that_is_no_secret_is_named_and_so_is_the_remedy(tmp_path, mode):
    path = tmp_path / "the-token"
    write(path, mode=mode)
    message = refuses("--port=0", f"--shutdown-token-file={path}")
    assert all(word in message for word in (str(path), "chmod 600", "mode=0400", "CREDENTIALS_DIRECTORY"))


@needs_nobody
@pytest.mark.parametrize("mode", [0o440, 0o640])
def test_a_file_of_roots_that_one_group_can_read_is_fine(start, dial, mode):
    """As Kubernetes mounts secrets."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "token"
        path.parent.chmod(0o755)
        write(path, mode=mode)
        os.chown(path, 0, NOBODY)
        server = start(f"--shutdown-token-file={path}", **AS_NOBODY)
        assert dial(server).ask(b"/shutdown token\n") == GOODBYE
        server.ended()


@needs_nobody
def test_a_token_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "the-token"
    write(path)
    assert str(path) in refuses("--port=0", f"--shutdown-token-file={path}", **AS_NOBODY)


# Systems without IPv6, or without dual-stack sockets


class FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def without_ipv6(error):
    """What the process that calls it is told by socket(AF_INET6, …) from then on."""
    load, equal, result = 0x20, 0x15, 0x06
    failure = 0x00050000 | error
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in (
        (load, 0, 0, 0),
        (equal, 0, 3, SYSTEM_CALL[platform.machine()]),
        (load, 0, 0, 16),
        (equal, 0, 1, socket.AF_INET6),
        (result, 0, 0, failure),
        (result, 0, 0, 0x7FFF0000),
    ))
    buffer = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    filters = FilterProgram(len(program) // 8, ctypes.addressof(buffer))
    assert libc.prctl(seccomp, filter_mode, ctypes.byref(filters), 0, 0) == 0


@pytest.mark.skipif(platform.machine() not in SYSTEM_CALL, reason="no filter for this machine")
@pytest.mark.parametrize("error", ["EAFNOSUPPORT", "EACCES", "EPERM"])  # there is none, or a policy forbids it
def test_where_there_is_no_ipv6_it_serves_ipv4_alone(start, dial, error):
    server = start(preexec_fn=lambda: without_ipv6(getattr(errno, error)))
    addr = f"0.0.0.0:{server.tcp_port}"
    assert sorted(server.listening()) == [("tcp", addr), ("udp", addr)]
    assert dial(server).ask(b"/whoami\n").startswith(b"proto=tcp peer=127.0.0.1:")
    assert serves(udp=server.udp_port) and serves(udp=server.udp_port, host="127.0.0.2")


def test_where_ipv6_is_switched_off_it_serves_ipv4(start, namespace):
    with network.Namespace("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6") as without_addresses:
        server = start(wrapper=without_addresses.enter())
        with without_addresses.inside():
            assert serves(server.tcp_port, server.udp_port)


def test_a_system_default_of_ipv6_only_does_not_matter(start, namespace, host):
    only = Path("/proc/sys/net/ipv6/bindv6only")
    only.write_text("1")
    try:
        server = start()
    finally:
        only.write_text("0")
    assert serves(server.tcp_port, server.udp_port, host)


@pytest.fixture
def dual_stack_calls(start, strace):
    """Which of the calls of setsockopt() ask for a dual-stack socket: for TCP, and for UDP."""
    start(wrapper=strace("--trace=setsockopt")).stop()
    calls = [line for line in strace.trace() if "setsockopt(" in line]
    return [n for n, call in enumerate(calls, 1) if "IPV6_V6ONLY, [0]" in call]


@pytest.mark.plain
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_where_dual_stack_is_not_allowed_there_are_separate_sockets(start, dial, strace, dual_stack_calls, protocol):
    failing = dual_stack_calls[["tcp", "udp"].index(protocol)]
    server = start(wrapper=strace(f"--inject=setsockopt:error=EINVAL:when={failing}"), listening=3)
    port = server.tcp_port
    assert {addr for proto, addr in server.listening() if proto == protocol} == {f"0.0.0.0:{port}", f"[::]:{port}"}
    for host in ("127.0.0.1", "::1"):
        assert serves(port, server.udp_port, host)
    assert dial(server).ask(b"/whoami\n").startswith(b"proto=tcp peer=127.0.0.1:")


@pytest.mark.plain
def test_a_port_in_use_for_ipv6_alone_ends_it_too(start, strace, dual_stack_calls):
    """Without a dual-stack socket, IPv4 alone would hide that half of the clients are not served."""
    faults = strace(f"--inject=setsockopt:error=EINVAL:when={dual_stack_calls[0]}",
                    "--inject=bind:error=EADDRINUSE:when=1")
    server = start(wrapper=faults, port=12345, listening=0)
    assert server.wait() == 1
    (error,) = server.find(level="error")
    assert error["addr"] == "[::]:12345" and error["error"] == "Address already in use"


def test_the_daemon_is_one_thread(start):
    assert start().status("Threads") == "1"
