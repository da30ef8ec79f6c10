"""Starts epoll-echo, talks to it, and looks at it the way an operator can.

Deadlines here are generous on purpose: they end a hopeless wait, and are
never the thing that a test asserts.
"""

import contextlib
import fcntl
import itertools
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("EPOLL_ECHO", str(ROOT / "epoll-echo"))
BUILD = os.environ.get("EPOLL_ECHO_BUILD", "plain")
PATIENCE = 30.0  # seconds until a wait is given up
SLOWNESS = 0.3  # seconds by which a timeout may seem early to the client's clock

MAX_LINE = 4096
TOO_LONG = b"ERR too-long-line\n"
BUSY = b"Server Busy\n"
SIOCOUTQ = 0x5411

SANITIZER = re.compile(rb"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")
PAIR = re.compile(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)')


def parse_logfmt(line):
    """The pairs of one log line; ValueError if it is not strict, printable logfmt."""
    text = line.decode("ascii")
    pairs = PAIR.findall(text)
    if " ".join(f"{key}={value}" for key, value in pairs) != text or not text.isprintable():
        raise ValueError(f"not logfmt: {line!r}")
    record = {key: _unquote(value) for key, value in pairs}
    if record.get("level") not in ("debug", "info", "warning", "error") or "msg" not in record:
        raise ValueError(f"no level or msg: {line!r}")
    return record


def _unquote(value):
    if value.startswith('"'):
        return value[1:-1].encode().decode("unicode_escape")
    return value


def wait_until(condition, what="condition"):
    """Polls for what sends no event; returns the first true value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.01)
    return value


unused_ports = itertools.count(20_000)  # below those that the kernel hands out


def limit_descriptors(soft, hard):
    """For preexec: what `ulimit -n` would do."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(*options, **popen):
    """Runs the daemon where it is expected to end by itself."""
    done = subprocess.run(
        [BINARY, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        **popen,
    )
    assert not SANITIZER.search(done.stderr), done.stderr.decode()
    return done


class Server:
    """One running daemon; its ports come from its own log."""

    running = set()

    def __init__(self, *options, port="--port=0", listening=2, wrapper=(), **popen):
        self.valgrind_log = None
        command = [*wrapper, *self._instrument(), BINARY, *([port] if port else []), *options]
        self.stdout = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.stdout,
            stderr=subprocess.PIPE,
            **popen,
        )
        self.pid = self.process.pid
        self.stderr = []
        self.records = []
        self.malformed = []
        self.log_ended = False
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        Server.running.add(self)
        try:
            self._learn_ports(listening)
        except BaseException:
            self.kill()
            raise

    def _instrument(self):
        if BUILD != "valgrind":
            return []
        self.valgrind_log = tempfile.NamedTemporaryFile(prefix="epoll-echo-valgrind-")
        return [
            "valgrind",
            "--track-fds=yes",
            "--leak-check=full",
            f"--log-file={self.valgrind_log.name}",
        ]

    def _read_log(self):
        for line in self.process.stderr:
            with self.changed:
                self.stderr.append(line)
                try:
                    self.records.append(parse_logfmt(line.removesuffix(b"\n")))
                except ValueError:
                    self.malformed.append(line)
                self.changed.notify_all()
        with self.changed:
            self.log_ended = True
            self.changed.notify_all()

    def _learn_ports(self, count):
        """`count` listening lines must come; 0 for a silent start."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.log_ended or len(self.find(msg="listening")) >= count, PATIENCE
            )
        lines = self.find(msg="listening")
        assert len(lines) >= count, f"no {count} listening lines: {self.log_text()}"
        self.addresses = [(line["proto"], line["addr"]) for line in lines]
        ports = {proto: int(addr.rpartition(":")[2]) for proto, addr in self.addresses}
        self.tcp_port = ports.get("tcp")
        self.udp_port = ports.get("udp")

    # The log

    def find(self, **fields):
        return [r for r in self.records if fields.items() <= r.items()]

    def log_text(self):
        return b"".join(self.stderr).decode(errors="backslashreplace")

    # The process

    def status(self, key):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return re.search(rf"^{key}:\s*(\S+)", text, re.MULTILINE)[1]

    def activity(self):
        """Grows whenever the process wakes up, or spins without ever sleeping."""
        switches = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
        nanoseconds = Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]
        return [int(self.status(key)) for key in switches] + [int(nanoseconds)]

    def settle(self):
        """Waits until the daemon has done all that it can for now."""

        def at_rest():
            before = self.activity()
            time.sleep(0.2)
            return self.process.poll() is not None or self.activity() == before

        wait_until(at_rest, "the daemon to be at rest")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Bytes of private anonymous memory: heap, stack, written data."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s*(\d+) kB", text, re.MULTILINE)[1]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number):
        self.process.send_signal(number)

    def deliver(self, number):
        """Signals, and waits until the daemon has taken the signal."""
        self.signal(number)
        bit = 1 << (number - 1)
        wait_until(
            lambda: not (int(self.status("ShdPnd"), 16) | int(self.status("SigPnd"), 16)) & bit,
            f"{signal.Signals(number).name} taken",
        )

    @contextlib.contextmanager
    def frozen(self):
        """What happens meanwhile finds the daemon stopped; then it wakes up to all at once."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self.status("State") in ("T", "t"), "the daemon to be stopped")
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def stats(self, host="127.0.0.1"):
        """Asked over a connection of its own, which counts itself."""
        with Client(host, self.tcp_port) as client:
            return parse_stats(client.ask(b"/stats\n"))

    # The end

    def wait(self):
        """The exit status, after all that it wrote has been read."""
        status = self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        return status

    def check(self):
        """No report of a sanitizer, no line that is not logfmt."""
        text = b"".join(self.stderr)
        assert not SANITIZER.search(text), text.decode(errors="backslashreplace")
        assert not self.malformed, self.malformed

    def ended(self):
        """Waits for a graceful end and leaves nothing unchecked."""
        status = self.wait()
        Server.running.discard(self)
        self.check()
        assert status == 0, f"exit status {status}: {self.log_text()}"
        self.stdout.seek(0)
        assert self.stdout.read() == b""
        if self.valgrind_log:
            check_valgrind(self.valgrind_log.read().decode())

    def stop(self):
        self.signal(signal.SIGTERM)
        self.ended()

    def kill(self):
        Server.running.discard(self)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def check_valgrind(report):
    assert "ERROR SUMMARY: 0 errors" in report, report
    opened = [line for line in report.splitlines() if "Open file descriptor" in line]
    inherited = report.count("<inherited from parent>")
    assert len(opened) == inherited, report
    assert re.search(r"no leaks are possible|definitely lost: 0 bytes", report), report


class Client:
    """A TCP connection that reads lines."""

    def __init__(self, host, port, source=None, receive_buffer=None, send_buffer=None):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        for option, size in ((socket.SO_RCVBUF, receive_buffer), (socket.SO_SNDBUF, send_buffer)):
            if size:
                self.socket.setsockopt(socket.SOL_SOCKET, option, size)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_in_background(self, data, finish=True):
        """For more than the server takes while nobody reads; a reset ends it silently."""

        def sending():
            with contextlib.suppress(OSError):
                self.send(data)
                if finish:
                    self.finish()

        thread = threading.Thread(target=sending, daemon=True)
        thread.start()
        return thread

    def finish(self):
        """Ends the sending side only."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self):
        return self.stream.readline()

    def read(self, count):
        return self.stream.read(count)

    def rest(self):
        """Everything up to the end, upon which a polite client closes too."""
        everything = self.stream.read()
        self.close()
        return everything

    def ask(self, line):
        self.send(line)
        return self.line()

    def silent(self):
        """True if nothing has arrived, not even the end."""
        return not select.select([self.socket], [], [], 0)[0]

    def clog(self, data):
        """Sends until the server takes no more, because nobody reads its answers.

        Returns how many bytes went out."""
        view = memoryview(data)
        poller = select.poll()
        poller.register(self.socket, select.POLLOUT)
        sent = 0
        while poller.poll(300):
            sent += self.socket.send(view[sent:])
            assert sent < len(data), "the server buffers without bound"
        return sent

    def unsent(self):
        """Bytes that the server's kernel has not received yet."""
        return int.from_bytes(fcntl.ioctl(self.socket, SIOCOUTQ, bytes(4)), sys.byteorder)

    def reset(self):
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        self.stream.close()
        self.socket.close()


def parse_stats(answer):
    assert re.fullmatch(rb"(\w+=\S+ )*\w+=\S+\n", answer), answer
    pairs = [pair.split("=", 1) for pair in answer.decode().split()]
    assert [key for key, _ in pairs[:3]] == ["total_clients", "active_udp_peers", "connected_tcp"]
    return {key: int(value) for key, value in pairs[:3]}


class Peer:
    """A UDP socket that talks to one server."""

    def __init__(self, host, port, source=None, hops=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        if hops:
            self.set_hops(hops)
        try:
            if source:
                self.socket.bind(source if isinstance(source, tuple) else (source, 0))
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise

    def set_hops(self, hops):
        if self.socket.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        else:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)

    @property
    def port(self):
        return self.socket.getsockname()[1]

    def send(self, data):
        self.socket.send(data)

    def receive(self):
        return self.socket.recv(65536)

    def ask(self, data):
        self.send(data)
        return self.receive()

    def close(self):
        self.socket.close()
