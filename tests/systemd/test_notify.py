# SPDX-License-Identifier: MIT
"""What the daemon tells its manager, sd_notify(3), and where its log goes; without systemd.

When it tells the manager what, tests/unit/notify.c shows."""
import contextlib
import os
import select
import signal
import socket
import time

import pytest

from harness.clients import Client, serves
from harness.daemon import AS_ROOT, OWN_PID, Daemon
from harness.wait import PATIENCE, wait_until
from manager import Manager, bound, listener, port_of, timer_armed

NO_SOCKET = "--inject=socket:error=EMFILE:when=1"


def status(message):
    """The statistics of a STATUS=: total_clients, active_udp_peers, connected_tcp."""
    pairs = dict(pair.split("=") for pair in message["STATUS"].split())
    assert list(pairs) == ["total_clients", "active_udp_peers", "connected_tcp"]
    return tuple(map(int, pairs.values()))


@pytest.fixture
def told(start, manager):
    """A daemon that has a manager to tell."""
    return start(NOTIFY_SOCKET=manager.address)


@pytest.fixture
def dial():
    with contextlib.ExitStack() as stack:
        yield lambda server: stack.enter_context(Client("127.0.0.1", server.tcp_port))


def test_ready_once_it_listens(told, manager):
    first = manager.next()
    assert first["READY"] == "1"
    assert status(first) == (0, 0, 0)
    serves(told.tcp_port, told.udp_port)


@pytest.mark.parametrize("address", ["@nobody-listens", "relative"])
def test_manager_that_cannot_be_reached(start, address):
    server = start(NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000")
    serves(server.tcp_port)
    server.await_record(msg="cannot notify the service manager")
    assert not timer_armed(server)


def test_manager_without_a_socket_to_it(start, strace):
    server = start(wrapper=strace(NO_SOCKET), NOTIFY_SOCKET="@manager")
    serves(server.tcp_port)
    server.await_record(socket="@manager", error="Too many open files")


@contextlib.contextmanager
def another_fills(manager):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
        another.connect("\0" + manager.address[1:])
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                another.send(b"FULL=1")
        yield another


def test_a_manager_that_does_not_read_is_told_later(start, manager, dial, token_file):
    """Neither a reload nor the end waits for it, and nothing is left out."""
    server = start(f"--shutdown-token-file={token_file}", NOTIFY_SOCKET=manager.address)
    manager.await_key("READY")
    with another_fills(manager):
        server.deliver(signal.SIGHUP)
        server.await_record(msg="token read again")
        assert dial(server).ask(b"line\n") == b"line\n"
    del manager.told[:]
    manager.rest()
    manager.await_key("RELOADING")
    manager.await_key("READY")
    with another_fills(manager):
        server.stop()


def test_a_manager_that_binds_its_socket_anew_is_found(start, tmp_path, token_file):
    path = str(tmp_path / "notify")
    with Manager(path) as before:
        server = start(f"--shutdown-token-file={token_file}", NOTIFY_SOCKET=path)
        before.await_key("READY")
    os.unlink(path)
    server.deliver(signal.SIGHUP)
    server.await_record(msg="token read again")
    with Manager(path) as after:
        after.await_key("RELOADING")
        after.await_key("READY")
        server.signal(signal.SIGTERM)
        after.await_key("STOPPING")
        server.ended()


def test_nothing_before_it_can_start(start, manager):
    with listener() as taken:
        server = start("--bind=127.0.0.1", f"--tcp-port={port_of(taken)}", NOTIFY_SOCKET=manager.address)
        assert server.wait() == 1
    assert manager.rest() == []


def test_status_follows_what_happens(told, manager):
    manager.await_key("READY")
    with Client("127.0.0.1", told.tcp_port) as client:
        client.ask(b"line\n")
        assert status(manager.await_key("STATUS")) == (1, 0, 1)
    assert status(manager.await_key("STATUS")) == (1, 0, 0)
    serves(udp=told.udp_port)
    assert status(manager.await_key("STATUS")) == (2, 1, 0)


def test_reload_between_reloading_and_ready(told, manager):
    manager.await_key("READY")
    before = time.monotonic_ns() // 1000
    told.signal(signal.SIGHUP)
    reloading = manager.next()
    assert reloading["RELOADING"] == "1" and "READY" not in reloading
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.next()["READY"] == "1"


def test_reload_is_told_before_the_token_is_read(start, manager, token_file, strace):
    server = start(f"--shutdown-token-file={token_file}", wrapper=strace("--trace=openat,sendto"),
                   NOTIFY_SOCKET=manager.address)
    manager.await_key("READY")
    server.deliver(signal.SIGHUP)
    server.await_record(msg="token read again")
    server.stop()
    told = [line for line in strace.trace() if str(token_file) in line or '"RELOADING' in line or '"READY' in line]
    assert [next(key for key in ("RELOADING", "READY", "openat") if key in line) for line in told] == [
        "openat", "READY", "RELOADING", "openat", "READY"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopping_is_the_last_word(told, manager, how):
    """A reload that comes while it stops says nothing: READY would call the end off."""
    with Client("127.0.0.1", told.tcp_port) as client:
        client.ask(b"keeps it from ending\n")
        told.signal(how)
        manager.await_key("STOPPING", "1")
        told.signal(signal.SIGHUP)
        told.await_record(msg="there is no token to be read")
    told.ended()
    manager.rest()
    after = manager.told[next(i for i, m in enumerate(manager.told) if "STOPPING" in m) + 1 :]
    assert not any("READY" in m or "RELOADING" in m for m in after)


def test_watchdog_is_told_at_half_its_time(start, manager):
    begin = time.monotonic()
    server = start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000", WATCHDOG_PID=OWN_PID)
    manager.await_key("READY")
    for _ in range(5):
        manager.await_key("WATCHDOG", "1")
    # The first comes at once, the second up to a tick early; there is no bound above.
    assert time.monotonic() - begin >= 4 * 0.5 - 0.25
    wait_until(lambda: timer_armed(server), "the timer for the next")


def test_watchdog_comes_from_the_loop(start, manager):
    """A process that is stopped says nothing, and goes on where it was."""
    server = start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="500000")
    manager.await_key("WATCHDOG")
    with server.frozen():
        manager.rest()
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            manager.next()
        manager.socket.settimeout(PATIENCE)
    manager.await_key("WATCHDOG")


def test_no_watchdog_no_timer(told, manager):
    serves(told.tcp_port)
    assert not timer_armed(told)
    told.stop()
    assert not any("WATCHDOG" in message for message in manager.rest())


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_nobody_to_tell(start, environment):
    server = start(**environment)
    serves(server.tcp_port)
    assert "notify" not in server.log_text()


@pytest.mark.parametrize("stream", ["1:2", "", "8", "0:0"])
def test_standard_error_that_is_not_the_journal(start, stream):
    """JOURNAL_STREAM is inherited by everything that a service starts, wherever that logs to."""
    start(JOURNAL_STREAM=stream).await_record(level="info", msg="listening")


class Journal:
    """The receiving end of the journal, where only the processes that it starts find it."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = directory
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(str(directory / "socket"))
        self.errors, self.write = os.pipe()
        self.stack = contextlib.ExitStack()

    def start(self, *options, wrapper=()):
        place = "/run/systemd/journal"
        script = f'mount -t tmpfs none /run && mkdir -p {place} && mount --bind "$0" {place} && exec "$@"'
        status = os.fstat(self.write)
        return self.stack.enter_context(Daemon(
            *options, binary=self.binary, listening=0, stderr=self.write,
            wrapper=["unshare", "--mount", "sh", "-c", script, self.directory, *wrapper],
            environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}))

    def entry(self):
        """The fields of the next entry, but for one that is there because the tests run as root."""
        fields = self._entry()
        return self._entry() if fields["ECHO_EVENT"] == AS_ROOT else fields

    def _entry(self):
        """Each value has its length in front."""
        left = self.socket.recv(65536)
        fields = {}
        while left:
            name, _, left = left.partition(b"\n")
            end = 8 + int.from_bytes(left[:8], "little")
            fields[name.decode()] = left[8:end].decode()
            assert left[end : end + 1] == b"\n"
            left = left[end + 1 :]
        return fields

    def on_standard_error(self):
        """What has come there."""
        ready = select.select([self.errors], [], [], 0)[0]
        return os.read(self.errors, 65536).decode() if ready else ""

    def close(self):
        self.stack.close()
        self.socket.close()
        os.close(self.errors)
        os.close(self.write)


@pytest.fixture
def journal(binary, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to put a journal's socket into its place")
    with contextlib.closing(Journal(binary, tmp_path)) as journal:
        yield journal


def test_journal_has_each_event_with_its_fields(journal):
    server = journal.start()
    for protocol in ("tcp", "udp"):
        entry = journal.entry()
        assert entry["ECHO_PROTO"] == protocol and entry["ECHO_ADDR"].startswith("[::]:")
        fields = {name: value for name, value in entry.items() if name.startswith("ECHO_")}
        told = " ".join(f"{name[5:].lower()}={value}" for name, value in fields.items() if name != "ECHO_EVENT")
        assert entry == {"MESSAGE": f"listening {told}", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "epoll-echo",
                         "ECHO_EVENT": "listening", **fields}
    server.signal(signal.SIGTERM)
    assert [journal.entry()["ECHO_EVENT"] for _ in range(3)] == ["started", "stopping", "stopped"]
    server.ended()
    assert journal.on_standard_error() == ""


def test_journal_tells_what_was_left_out(journal):
    server = journal.start("--verbose")
    port = [journal.entry()["ECHO_ADDR"] for _ in range(2)][0].rpartition(":")[2]
    clients = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(100)]
    wait_until(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) > 100, "all to be taken in")
    server.signal(signal.SIGTERM)
    entry = {}
    while "ECHO_SUPPRESSED" not in entry:
        entry = journal.entry()
    assert entry["MESSAGE"].endswith(f" suppressed={entry['ECHO_SUPPRESSED']}")
    server.ended()
    for client in clients:
        client.close()


@pytest.mark.parametrize("missing", ["descriptor", "journal"])
def test_journal_out_of_reach(journal, strace, missing):
    """Then standard error has the log as before: the descriptor agrees, but there is no socket."""
    if missing == "descriptor":
        server = journal.start("--max-tcp=10", wrapper=strace(NO_SOCKET))
    else:
        (journal.directory / "socket").unlink()
        server = journal.start("--max-tcp=10")
    wait_until(lambda: select.select([journal.errors], [], [], 0)[0], "the log")
    server.stop()
    assert "level=info msg=listening" in journal.on_standard_error()


def test_many_passed_sockets_fit(start, manager):
    sockets = [make() for make in (listener, bound) for _ in range(128)]  # PORTS_MAX
    start(sockets=sockets, NOTIFY_SOCKET=manager.address)
    manager.await_key("READY")
    for s in sockets[::13]:
        serves(**{"tcp" if s.type == socket.SOCK_STREAM else "udp": port_of(s)})


def test_more_sockets_than_there_is_room_for_are_refused(binary):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listener()) for _ in range(257)]  # one more than PORTS_MAX
        server = stack.enter_context(Daemon(binary=binary, sockets=sockets, listening=0))
        assert server.wait() == 1
        assert server.find(msg="too many sockets", most="256")
