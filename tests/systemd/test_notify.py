# SPDX-License-Identifier: MIT
"""What the daemon tells its manager, sd_notify(3), and where its log goes; without systemd."""
import contextlib
import os
import select
import signal
import socket
import time

import pytest

from guest import PATIENCE, wait_until
from process import Client, Process, ask_udp, bound, listener, port_of, serves

STATUS_BURST = 8  # src/system/systemd.h


def status(message):
    """The statistics of a STATUS= as numbers."""
    pairs = dict(pair.split("=") for pair in message["STATUS"].split())
    assert list(pairs) == ["total_clients", "active_udp_peers", "connected_tcp"]
    return {name: int(value) for name, value in pairs.items()}


def test_ready_once_it_listens(start, manager):
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    first = manager.next()
    assert first["READY"] == "1"
    assert status(first) == {"total_clients": 0, "active_udp_peers": 0, "connected_tcp": 0}
    serves(*process.ports())


def test_path_as_address(start, manager, tmp_path):
    manager.socket.close()
    path = str(tmp_path / "notify")
    manager.__init__(path)
    start("--port=0", NOTIFY_SOCKET=path)
    assert manager.next()["READY"] == "1"


@pytest.mark.parametrize("address", ["@nobody-listens", "relative", "vsock:2:1234", "/" + "x" * 200])
def test_manager_that_cannot_be_reached(start, address):
    process = start("--port=0", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000")
    serves(tcp=process.ports()[0])
    assert "cannot notify" in process.log and not process.timer_armed()
    assert process.stop() == 0


def test_manager_without_a_socket_to_it(start):
    fault = ["strace", "-D", "-o", "/dev/null", "-e", "inject=socket:error=EMFILE:when=1"]
    process = start("--port=0", wrapper=fault, NOTIFY_SOCKET="@manager")
    serves(tcp=process.ports()[0])
    assert 'socket=@manager error="Too many open files"' in process.log


def test_manager_that_is_behind_stops_nothing(start, manager):
    """What it cannot take of statistics and of the watchdog is told when it can."""
    process = start("--port=0", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="500000")
    manager.await_key("READY")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as another:
        another.connect("\0" + manager.address[1:])
        another.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                another.send(b"FULL=1")
    with Client(process.ports()[0]) as client:
        begin = time.monotonic()
        while time.monotonic() < begin + 1:  # twice the watchdog's time
            assert client.ask(b"line") == b"line"
        manager.rest()
        manager.await_key("WATCHDOG")
        while "STATUS" not in manager.told[-1]:
            assert time.monotonic() < begin + PATIENCE
            client.ask(b"another turn")
            manager.next()
        assert status(manager.told[-1])["connected_tcp"] == 1


def test_nothing_before_it_can_start(start, manager):
    with listener() as taken:
        process = start("--bind=::1", f"--port={port_of(taken)}", NOTIFY_SOCKET=manager.address)
        assert process.wait() == 1
    assert manager.rest() == []


def test_status_follows_what_happens(start, manager):
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    tcp, udp = process.ports()
    manager.await_key("READY")
    with Client(tcp) as client:
        client.ask(b"line")
        assert status(manager.await_key("STATUS")) == {
            "total_clients": 1,
            "active_udp_peers": 0,
            "connected_tcp": 1,
        }
    assert status(manager.await_key("STATUS"))["connected_tcp"] == 0
    ask_udp(udp, b"datagram")
    assert status(manager.await_key("STATUS")) == {
        "total_clients": 2,
        "active_udp_peers": 1,
        "connected_tcp": 0,
    }


def test_status_only_when_it_changed(start, manager):
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    with Client(tcp) as client:
        for _ in range(100):
            client.ask(b"line")
    process.stop()
    told = [message["STATUS"] for message in manager.rest() if "STATUS" in message]
    assert all(one != other for one, other in zip(told, told[1:]))
    assert len(told) == 3  # at the start, with the client, and without


def test_status_is_bounded_under_load(start, manager):
    before = time.monotonic()
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    for _ in range(300):
        with Client(tcp) as client:
            client.ask(b"line")
    process.stop()
    seconds = time.monotonic() - before  # all that was told was told in these
    told = [message for message in manager.rest() if "STATUS" in message and "READY" not in message]
    assert 1 <= len(told) <= STATUS_BURST + seconds + 1


def test_no_wakeup_of_its_own(start, manager):
    """However much is untold, no timer runs for it."""
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    for _ in range(3 * STATUS_BURST):
        with Client(tcp) as client:
            client.ask(b"line")
            assert client.socket.shutdown(1) is None and client.rest() == b""
    assert not process.timer_armed()


def test_reload_between_reloading_and_ready(start, manager):
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    manager.await_key("READY")
    before = time.monotonic_ns() // 1000
    process.signal(signal.SIGHUP)
    reloading = manager.next()
    assert reloading["RELOADING"] == "1" and "READY" not in reloading
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.next()["READY"] == "1"


def token_file(tmp_path, token):
    path = tmp_path / "token"
    path.write_bytes(token)
    path.chmod(0o600)
    return path


def test_reload_reads_the_token_again(start, manager, tmp_path):
    path = token_file(tmp_path, b"old\n")
    process = start("--port=0", f"--shutdown-token-file={path}", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    manager.await_key("READY")

    def reload():
        process.signal(signal.SIGHUP)
        manager.await_key("RELOADING")
        manager.await_key("READY")

    with Client(tcp) as client:
        path.write_bytes(b"")  # cannot be a token: the old one stays
        reload()
        assert str(path) in process.await_log(r"level=warning .*stays.*\n")[0]
        path.write_bytes(b"new")
        reload()
        process.await_log('msg="token read again"')
        assert client.ask(b"/shutdown old") == b"ERR shutdown-token-invalid"
        assert client.ask(b"/shutdown new") == b"OK, shutting down"
    assert process.wait() == 0


def test_bad_reload_keeps_the_old_token(start, manager, tmp_path):
    path = token_file(tmp_path, b"old")
    process = start("--port=0", f"--shutdown-token-file={path}", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    manager.await_key("READY")
    path.unlink()
    process.signal(signal.SIGHUP)
    manager.await_key("READY")
    with Client(tcp) as client:
        assert client.ask(b"/shutdown old") == b"OK, shutting down"
    assert process.wait() == 0


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT"])
def test_stopping_is_the_last_word(start, manager, how):
    """A reload that comes while it stops says nothing: READY would call the end off."""
    process = start("--port=0", NOTIFY_SOCKET=manager.address)
    tcp, _ = process.ports()
    with Client(tcp) as client:
        client.ask(b"keeps it from ending")
        process.signal(getattr(signal, how))
        manager.await_key("STOPPING", "1")
        process.signal(signal.SIGHUP)
        process.await_log("token read again")
    assert process.wait() == 0
    manager.rest()
    after = manager.told[next(i for i, m in enumerate(manager.told) if "STOPPING" in m) + 1 :]
    assert not any("READY" in m or "RELOADING" in m for m in after)


def test_shutdown_command_says_stopping(start, manager, tmp_path):
    path = token_file(tmp_path, b"token")
    process = start("--port=0", f"--shutdown-token-file={path}", NOTIFY_SOCKET=manager.address)
    with Client(process.ports()[0]) as client:
        assert client.ask(b"/shutdown token") == b"OK, shutting down"
        manager.await_key("STOPPING", "1")
    assert process.wait() == 0


def test_watchdog_is_told_at_half_its_time(start, manager):
    begin = time.monotonic()
    process = start(
        "--port=0", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000000", WATCHDOG_PID="$$"
    )
    manager.await_key("READY")
    for _ in range(5):
        manager.await_key("WATCHDOG", "1")
    # The first comes at once, the second up to a tick early; there is no bound above.
    assert time.monotonic() - begin >= 4 * 0.5 - 0.25
    wait_until(process.timer_armed, "the timer for the next")


def test_watchdog_comes_from_the_loop(start, manager):
    """A process that is stopped says nothing, and goes on where it was."""
    process = start("--port=0", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="500000")
    manager.await_key("WATCHDOG")
    process.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    manager.rest()
    manager.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        manager.next()
    manager.socket.settimeout(PATIENCE)
    process.signal(signal.SIGCONT)
    manager.await_key("WATCHDOG")


def test_watchdog_of_no_time_to_speak_of(start, manager):
    """It is told as often as the timer allows."""
    process = start("--port=0", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="1000")
    for _ in range(3):
        manager.await_key("WATCHDOG", "1")
    serves(tcp=process.ports()[0])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": str(2**63)},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_PID": "$$"},
    ],
)
def test_no_watchdog_no_timer(start, manager, environment):
    process = start("--port=0", NOTIFY_SOCKET=manager.address, **environment)
    serves(tcp=process.ports()[0])
    assert not process.timer_armed()
    process.stop()
    assert not any("WATCHDOG" in message for message in manager.rest())


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_nobody_to_tell(start, environment):
    process = start("--port=0", **environment)
    serves(*process.ports())
    assert process.stop() == 0
    assert "notify" not in process.log


@pytest.mark.parametrize("stream", ["1:2", "", "8", "0:0"])
def test_standard_error_that_is_not_the_journal(start, stream):
    """JOURNAL_STREAM is inherited by everything that a service starts, wherever that logs to."""
    process = start("--port=0", JOURNAL_STREAM=stream)
    assert "level=info msg=listening" in process.log + process.await_log(".*msg=listening.*\n")[0]


def test_journal_out_of_reach(binary):
    """The descriptor agrees, but there is no journal's socket: logfmt goes to it as before."""
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this machine has a journal")
    read, write = os.pipe()
    status = os.fstat(write)
    process = Process(
        binary, "--port=0", stderr=write, JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}"
    )
    try:
        os.close(write)
        assert b"msg=listening" in os.read(read, 4096)
    finally:
        process.end()
        os.close(read)


class Journal:
    """The receiving end of the journal, where only the processes that it starts find it."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.directory = directory
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(str(directory / "socket"))
        self.errors, self.write = os.pipe()
        self.running = []

    def start(self, *options, wrapper=()):
        place = "/run/systemd/journal"
        script = f'mount -t tmpfs none /run && mkdir -p {place} && mount --bind "$0" {place} && exec "$@"'
        status = os.fstat(self.write)
        process = Process(
            *("unshare", "--mount", "sh", "-c", script, self.directory),
            *(*wrapper, self.binary, *options),
            stderr=self.write,
            JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}",
        )
        self.running.append(process)
        return process

    def entry(self):
        """The fields of the next entry; each value has its length in front."""
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
        """What went there, after the end of all that was started."""
        for process in self.running:
            process.end()
        os.set_blocking(self.errors, False)
        try:
            return os.read(self.errors, 65536).decode()
        except BlockingIOError:
            return ""

    def close(self):
        self.on_standard_error()
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
    process = journal.start("--port=0")
    for protocol in ("tcp", "udp"):
        entry = journal.entry()
        address = entry["ECHO_ADDR"]
        assert address.startswith("[::]:")
        assert entry == {
            "MESSAGE": f"listening role=echo proto={protocol} addr={address}",
            "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": "epoll-echo",
            "ECHO_EVENT": "listening",
            "ECHO_ROLE": "echo",
            "ECHO_PROTO": protocol,
            "ECHO_ADDR": address,
        }
    process.signal(signal.SIGTERM)
    assert [journal.entry()["ECHO_EVENT"] for _ in range(2)] == ["stopping", "stopped"]
    assert process.process.wait(PATIENCE) == 0
    assert journal.on_standard_error() == ""


def test_journal_without_a_socket_to_it(journal):
    """Then standard error has the log, as it is."""
    fault = ["strace", "-D", "-o", "/dev/null", "-e", "inject=socket:error=EMFILE:when=1"]
    process = journal.start("--port=0", "--max-tcp=10", wrapper=fault)
    wait_until(lambda: select.select([journal.errors], [], [], 0)[0], "the log")
    process.signal(signal.SIGTERM)
    assert process.process.wait(PATIENCE) == 0
    assert "level=info msg=listening role=echo proto=tcp" in journal.on_standard_error()


def test_many_passed_sockets_fit(start, manager):
    sockets = [make() for make in (listener, bound) for _ in range(40)]
    start(sockets=sockets, NOTIFY_SOCKET=manager.address)
    manager.await_key("READY")
    for s in sockets[::13]:
        serves(**{"tcp" if s.type == listener().type else "udp": port_of(s)})
