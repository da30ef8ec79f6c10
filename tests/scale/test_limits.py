# SPDX-License-Identifier: MIT
"""Each limit in docs/scale.md, set low: what a client sees, what the server says, what the kernel counts."""

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clients import Client
from harness.daemon import Daemon, limit_descriptors
from harness.network import Namespace
from harness.tree import ROOT
from harness.wait import wait_until

sys.path.insert(0, str(ROOT / "bench"))
from fleet import listed  # noqa: E402
from holder import Failed, Holder  # noqa: E402

PORT = 12345
PAGE = (ROOT / "docs/scale.md").read_text()
TABLE = PAGE.partition("## What stops at which size")[2].partition("\n## ")[0]
ROWS = {row.split("|")[1].strip(): row for row in TABLE.splitlines() if row.startswith("| ") and "`" in row}
NANOSECONDS = r"\A(\d+)"  # of CPU time, in schedstat
WAIT_SECONDS = 1  # for an answer that does not come

pytestmark = pytest.mark.usefixtures("namespace")


def setting(name, value=None):
    """A sysctl of this namespace; skips where it is one of the whole machine's."""
    path = Path("/proc/sys") / name.replace(".", "/")
    if not path.exists():
        pytest.skip(f"{name} is one for all network namespaces")
    if value is not None:
        path.write_text(str(value))
    return path.read_text().split()


def counted(name):
    """What nstat calls NAME, since this namespace is there."""
    done = subprocess.run(["nstat", "-asz", name], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[1])


def told(row, *texts):
    """The page says what was seen."""
    for text in texts:
        assert text in ROWS[row], f"{text} is not in the row of {row}"


def no_answer(port):
    """A client whose connection is not even made."""
    with pytest.raises(TimeoutError), socket.create_connection(("127.0.0.1", port), WAIT_SECONDS):
        pass


@contextlib.contextmanager
def restored(name):
    before = setting(name)
    try:
        yield
    finally:
        setting(name, " ".join(before))


def test_descriptors_of_a_process(start, dial):
    server = start("--max-tcp=1000", preexec_fn=limit_descriptors(64, 64))
    record = server.find(level="warning", wanted="1000")[0]
    clients = [dial(server) for _ in range(int(record["max_tcp"]) + 1)]
    for client in clients[:-1]:
        assert client.ask(b"there\n") == b"there\n"
    assert clients[-1].rest() == b"Server Busy\n"
    told("a process's descriptors", "Server Busy", record["msg"])


def test_what_the_hard_limit_may_be():
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[0], limit[1] + 1))
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    except (ValueError, PermissionError):
        pytest.skip("the hard limit cannot be raised here, not even by one")
    done = subprocess.run(["sh", "-c", f"ulimit -Hn {most + 1}"], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    told("what that limit may be", "Operation not permitted")
    assert "Operation not permitted" in done.stderr


def test_files_of_the_machine(start, strace):
    """The knob is the whole machine's, and does not bind root: the error is what it would be."""
    server = start(wrapper=strace("--trace=accept4", "--inject=accept4:error=ENFILE"))
    with Client("127.0.0.1", server.tcp_port) as client:
        client.send(b"waiting\n")
        record = server.await_record(level="warning", error="Too many open files in system")
        client.socket.settimeout(WAIT_SECONDS)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    server.kill()
    told("the machine's files", record["msg"], record["error"])


def test_ports_to_connect_from(start):
    server = start("--bind=127.0.0.1")
    with restored("net.ipv4.ip_local_port_range"), contextlib.ExitStack() as stack:
        setting("net.ipv4.ip_local_port_range", "40000 40009")
        for _ in range(10):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.tcp_port)))
        with pytest.raises(OSError) as refused:
            socket.create_connection(("127.0.0.1", server.tcp_port))
        assert refused.value.errno == errno.EADDRNOTAVAIL
        # From another address there are as many again.
        holder = Holder("127.0.0.1", server.tcp_port, "127.0.0.9")
        stack.callback(holder.end)
        holder.open(10)
        with pytest.raises(Failed) as failed:
            holder.open(1)
    assert refused.value.strerror in str(failed.value)
    told("a client's ports", refused.value.strerror)


def queue(server):
    """How many wait to be accepted, and how many may."""
    return subprocess.run(["ss", "-Hltn", f"sport = :{server.tcp_port}"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split()[1:3]


def test_a_listeners_queue(start):
    server = start("--backlog=1", "--bind=127.0.0.1")
    server.signal(signal.SIGSTOP)  # as one that is busy for longer
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(socket.create_connection(("127.0.0.1", server.tcp_port)))
            no_answer(server.tcp_port)
            assert queue(server) == ["2", "1"]
            assert counted("TcpExtListenOverflows") > 0 and counted("TcpExtListenDrops") > 0
    finally:
        server.signal(signal.SIGCONT)
    told("a listener's queue", "TcpExtListenOverflows", "`ss -ltn`")


def test_the_systems_bound_on_that_queue(start):
    with restored("net.core.somaxconn"):
        setting("net.core.somaxconn", 7)
        server = start("--backlog=4096")
        assert queue(server)[1] == "7"
    told("a listener's queue", "net.core.somaxconn")


# What an answer has come for, for others make room for newcomers.
FLOW = "-I -s 127.{}.{}.{} -d 127.0.0.1 -p udp --sport 9 --dport 9 -t 300 -u ASSURED,SEEN_REPLY\n"


def test_the_table_of_flows(tmp_path):
    """In a namespace of its own, which gives them back at its end."""
    if not shutil.which("conntrack") or not Path("/proc/sys/net/netfilter/nf_conntrack_max").exists():
        pytest.skip("there is no conntrack")
    most = int(setting("net.netfilter.nf_conntrack_max")[0])
    if most > 300_000:
        pytest.skip(f"it takes {most} flows to fill it")
    flows = tmp_path / "flows"
    flows.write_text("".join(FLOW.format(1 + (n >> 16), n >> 8 & 255, n & 255) for n in range(most)))
    with Namespace() as other, other.inside():
        other.run("nft", "add table ip t; add chain ip t c { type filter hook output priority 0; }; "
                         "add rule ip t c ct state new accept")
        with socket.create_server(("127.0.0.1", PORT)):
            other.run("conntrack", "-R", flows)
            assert int(setting("net.netfilter.nf_conntrack_count")[0]) == most
            no_answer(PORT)
        counts = subprocess.run(["conntrack", "-S"], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert sum(map(int, re.findall(r" drop=(\d+)", counts))) > 0
    told("a table of flows", "`drop` in `conntrack -S`")


def dropped():
    return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())


def ancestors():
    """The numbers of those by whom this process was started."""
    pid = os.getppid()
    while pid > 0:
        yield pid
        pid = int(re.search(r"PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def whole_machine(name):
    """A setting that only the first namespace shows: one of the ancestors is there."""
    for pid in ancestors():
        done = subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "sysctl", "-n", name], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        if done.returncode == 0:
            return int(done.stdout)
    pytest.skip(f"{name} is not to be seen here")
    return None


def test_a_cores_queue_of_packets(figure):
    """Probes of many connections that fall due at the same time, on a loopback."""
    count = 2 * whole_machine("net.core.netdev_max_backlog") + 1000
    if count > 6000:
        pytest.skip(f"it takes probes of {count} connections to fill it")
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        ends = []
        for _ in range(count):
            ends.append(stack.enter_context(socket.create_connection(listening.getsockname())))
            stack.enter_context(listening.accept()[0])
        before = dropped()
        for option, value in ((socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1), (socket.TCP_KEEPIDLE, 1)):
            for end in ends:
                end.setsockopt(socket.IPPROTO_TCP, option, value)
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        wait_until(lambda: counted("TcpExtTCPAbortOnTimeout"), "connections to be given up")
        assert dropped() > before
        figure(f"keepalive of {count} connections at once: {dropped() - before} packets dropped, "
               f"{counted('TcpExtTCPAbortOnTimeout')} connections given up")
    told("a core's queue of packets", "softnet_stat", "TcpExtTCPAbortOnTimeout", "net.core.netdev_max_backlog")


def test_memory_of_buffers():
    setting("net.ipv4.tcp_mem")


def asked(namespace, figure, name):
    """What a line on each of 10,000 connections costs the server."""
    with Daemon("--bind=127.0.0.1", "--max-tcp=10100", wrapper=namespace.enter()) as server:
        holder = Holder("127.0.0.1", server.tcp_port, "127.0.0.9", namespace.enter())
        holder.open(10_000)
        before = listed(server.pid, "schedstat", NANOSECONDS)
        assert holder.ask()["answered"] == 10_000
        took = listed(server.pid, "schedstat", NANOSECONDS) - before
        holder.end()
    figure(f"{name}: {took / 1e7:.1f} µs of the server for a message on each of 10,000 connections")


def test_buckets_of_the_hash_table(figure):
    """A namespace that is made after this has a table of its own."""
    with restored("net.ipv4.tcp_child_ehash_entries"):
        setting("net.ipv4.tcp_child_ehash_entries", 64)
        small = Namespace()
    with small, Namespace() as ordinary:
        for namespace, buckets in ((ordinary, "the machine's buckets"), (small, "64 buckets")):
            asked(namespace, figure, buckets)
        with small.inside():
            assert setting("net.ipv4.tcp_ehash_entries") == ["64"]


TESTS = {
    "a process's descriptors": test_descriptors_of_a_process,
    "what that limit may be": test_what_the_hard_limit_may_be,
    "the machine's files": test_files_of_the_machine,
    "a client's ports": test_ports_to_connect_from,
    "a listener's queue": test_a_listeners_queue,
    "a table of flows": test_the_table_of_flows,
    "a core's queue of packets": test_a_cores_queue_of_packets,
    "memory for TCP's buffers": test_memory_of_buffers,
    "buckets for connections": test_buckets_of_the_hash_table,
}


def test_every_limit_of_the_page_has_a_test():
    assert ROWS.keys() == TESTS.keys()
